//! Attributes of every operation, both ways: `{stride=1, pad=1}`.
//!
//! All attributes are printed, in the order of the structs' fields. The parts of a neuron (`lif.charge` …)
//! print those of the neuron's constants that they read, and the others where they differ from the default.
//! An attribute that is not written has its default; one that does not exist is an error.

use crate::op::{
    Attention, Compare, Constant, Conv, Form, Learned, Lif, Norm, Op, Order, Over, Penalty, Piece, Pool,
    Reset, Save, Stats, Surrogate,
};
use crate::types::AxisName;
use std::mem::discriminant;

/// A number that parses back to the same f32: plain digits, or an exponent where those would be many.
pub fn float(value: f32) -> String {
    let plain = value == 0.0 || (1e-4..1e7).contains(&value.abs()) || !value.is_finite();
    if plain { format!("{value}") } else { format!("{value:e}") }
}

/// Keys and values in order.
pub fn of(op: &Op) -> Vec<(&'static str, String)> {
    match op {
        Op::Conv2d(conv)
        | Op::Conv2dGradInput(conv)
        | Op::Conv2dSampledGradInput(conv)
        | Op::Conv2dGradWeight(conv)
        | Op::Conv2dMaskedAdd(conv)
        | Op::Conv2dMaskedGradWeight(conv) => {
            vec![("stride", conv.stride.to_string()), ("pad", conv.pad.to_string())]
        }
        Op::BatchNorm(norm) | Op::BnApply(norm) | Op::FoldWeight(norm) | Op::FoldBias(norm) => {
            vec![("eps", float(norm.eps)), ("scale", float(norm.scale))]
        }
        Op::BnGradInput(norm, over) => {
            let mut all = vec![("eps", float(norm.eps)), ("scale", float(norm.scale))];
            all.extend((*over > 0).then(|| ("over", over.to_string())));
            all
        }
        Op::BnStats(stats) => vec![
            ("eps", float(stats.eps)),
            ("momentum", float(stats.momentum)),
            ("repeat", stats.repeat.to_string()),
        ],
        Op::Lif(lif) | Op::LifGrad(lif) => lif_attributes(lif, &ALWAYS),
        Op::LifCharge(lif) => lif_attributes(lif, &["decay", "gain", "current"]),
        Op::LifFire(lif) => lif_attributes(lif, &["threshold", "compare"]),
        Op::LifWindow(lif) => lif_attributes(lif, &["threshold", "surrogate"]),
        Op::LifReset(lif) => lif_attributes(lif, &["threshold", "reset"]),
        Op::MaxPool(pool) | Op::MaxPoolGrad(pool) | Op::AvgPool(pool) | Op::AvgPoolGrad(pool) => vec![
            ("kernel", format!("{}x{}", pool.kernel.0, pool.kernel.1)),
            ("stride", pool.stride.to_string()),
            ("pad", pool.pad.to_string()),
        ],
        Op::Sum(over) | Op::Mean(over) => vec![("over", axes(over))],
        Op::Scale(by) => vec![("by", float(*by))],
        Op::NeuronConstant(form) | Op::NeuronConstantGrad(form) => vec![("form", form_name(*form))],
        Op::CrossEntropy(smoothing) | Op::CrossEntropyGrad(smoothing) => match *smoothing {
            0.0 => Vec::new(),
            smoothing => vec![("smoothing", float(smoothing))],
        },
        Op::Penalty(measure) | Op::PenaltyGrad(measure) => vec![("measure", penalty_text(*measure))],
        Op::Attention(attention) | Op::AttentionGrad(attention) => attention_attributes(attention),
        Op::Piece(piece) => vec![("from", piece.from.to_string()), ("steps", piece.steps.to_string())],
        Op::ChannelSum(groups) => vec![("groups", groups.to_string())],
        Op::StepScale
        | Op::StepScaleGrad
        | Op::Linear
        | Op::LinearGradInput
        | Op::LinearGradWeight
        | Op::LinearMaskedAdd
        | Op::LinearMaskedGradWeight
        | Op::BnGradSums
        | Op::Flatten
        | Op::Unflatten
        | Op::Broadcast
        | Op::Relayout
        | Op::Pack
        | Op::Unpack
        | Op::Join
        | Op::Mask
        | Op::MaskNot
        | Op::ChannelSpread
        | Op::Add
        | Op::Scan => Vec::new(),
    }
}

const LIF_KEYS: [&str; 10] =
    ["decay", "gain", "current", "threshold", "reset", "detach", "compare", "surrogate", "learned", "save"];

/// What a whole neuron always says; a neuron without learned constants is silent about them.
const ALWAYS: [&str; 9] =
    ["decay", "gain", "current", "threshold", "reset", "detach", "compare", "surrogate", "save"];

const LIF_DEFAULT: Lif = Lif {
    decay: 0.5,
    gain: 1.0,
    current: 0.0,
    threshold: 1.0,
    reset: Reset::Hard(0.0),
    detach: true,
    compare: Compare::Ge,
    surrogate: Surrogate::Rectangle(1.0),
    learned: Learned::NOTHING,
    save: Save::Nothing,
};

fn lif_values(lif: &Lif) -> [String; 10] {
    let reset = match lif.reset {
        Reset::Hard(value) => format!("hard({})", float(value)),
        Reset::Soft => "soft".to_string(),
        Reset::None => "none".to_string(),
    };
    let compare = match lif.compare {
        Compare::Ge => "ge",
        Compare::Gt => "gt",
    };
    let same = |make: fn(f32) -> Surrogate| discriminant(&make(0.0)) == discriminant(&lif.surrogate);
    let (name, _) = SURROGATES.iter().find(|(_, make)| same(*make)).expect("every surrogate is listed");
    let surrogate = format!("{name}({})", float(lif.surrogate.constant()));
    let learned = Constant::ALL.iter().filter(|(constant, _)| lif.learned.has(*constant));
    let learned: Vec<&str> = learned.map(|(_, name)| *name).collect();
    let save = match lif.save {
        Save::Nothing => "nothing",
        Save::Window => "window",
        Save::Membrane => "membrane",
    };
    [
        float(lif.decay),
        float(lif.gain),
        float(lif.current),
        float(lif.threshold),
        reset,
        lif.detach.to_string(),
        compare.to_string(),
        surrogate,
        format!("[{}]", learned.join(" ")),
        save.to_string(),
    ]
}

fn lif_attributes(lif: &Lif, read: &[&str]) -> Vec<(&'static str, String)> {
    let all = LIF_KEYS.into_iter().zip(lif_values(lif)).zip(lif_values(&LIF_DEFAULT));
    all.filter(|((key, value), default)| read.contains(key) || value != default)
        .map(|(pair, _)| pair)
        .collect()
}

/// A name, and what it makes of a constant.
type Named = (&'static str, fn(f32) -> Surrogate);

/// Every surrogate with its name.
const SURROGATES: [Named; 10] = [
    ("rect", Surrogate::Rectangle),
    ("triangle", Surrogate::Triangle),
    ("sigmoid", Surrogate::Sigmoid),
    ("atan", Surrogate::Atan),
    ("piecewise_exp", Surrogate::PiecewiseExp),
    ("soft_sign", Surrogate::SoftSign),
    ("super_spike", Surrogate::SuperSpike),
    ("fast_sigmoid", Surrogate::FastSigmoid),
    ("erf", Surrogate::Erf),
    ("tanh", Surrogate::Tanh),
];

fn form_name(form: Form) -> String {
    let name = match form {
        Form::Sigmoid => "sigmoid",
        Form::Complement => "complement",
        Form::Softplus => "softplus",
    };
    name.to_string()
}

fn penalty_text(measure: Penalty) -> String {
    match measure {
        Penalty::Mean => "mean".to_string(),
        Penalty::Square(at) => format!("square({})", float(at)),
        Penalty::Above(at) => format!("above({})", float(at)),
        Penalty::Below(at) => format!("below({})", float(at)),
    }
}

const ORDERS: [(&str, Order); 3] =
    [("auto", Order::Auto), ("kv_first", Order::KvFirst), ("qk_first", Order::QkFirst)];

fn attention_attributes(attention: &Attention) -> Vec<(&'static str, String)> {
    let over = match attention.over {
        Over::Space => "space".to_string(),
        Over::Time => "time".to_string(),
        Over::SpaceTime(chunk) => format!("space_time({chunk})"),
    };
    let order = ORDERS.iter().find(|(_, order)| *order == attention.order).map_or("", |(word, _)| word);
    vec![
        ("over", over),
        ("causal", attention.causal.to_string()),
        ("scale", float(attention.scale)),
        ("order", order.to_string()),
        ("heads", attention.heads.to_string()),
    ]
}

fn axes(over: &[AxisName]) -> String {
    let names: Vec<String> = over.iter().map(AxisName::to_string).collect();
    format!("[{}]", names.join(" "))
}

/// A value as written.
#[derive(Clone, PartialEq, Debug)]
pub enum Written {
    /// `1e-5`, `soft`, `2x2`.
    Word(String),
    /// `hard(0)`.
    Call(String, String),
    /// `[T H W]`.
    List(Vec<String>),
}

/// Written attributes, taken one by one; what is left over does not exist.
pub struct Attributes {
    /// Keys and values in the order of the text.
    pub pairs: Vec<(String, Written)>,
}

impl Attributes {
    fn take<T>(
        &mut self,
        key: &str,
        default: T,
        read: impl Fn(&Written) -> Option<T>,
        what: &str,
    ) -> Result<T, String> {
        let Some(at) = self.pairs.iter().position(|(k, _)| k == key) else { return Ok(default) };
        let (_, value) = self.pairs.remove(at);
        read(&value).ok_or_else(|| format!("`{key}` needs {what}"))
    }

    fn number(&mut self, key: &str, default: f32) -> Result<f32, String> {
        self.take(key, default, |value| word(value)?.parse().ok(), "a number")
    }

    fn count(&mut self, key: &str, default: usize) -> Result<usize, String> {
        self.take(key, default, |value| word(value)?.parse().ok(), "a whole number")
    }

    fn conv(&mut self) -> Result<Conv, String> {
        Ok(Conv { stride: self.count("stride", 1)?, pad: self.count("pad", 0)? })
    }

    fn norm(&mut self) -> Result<Norm, String> {
        Ok(Norm { eps: self.number("eps", 1e-5)?, scale: self.number("scale", 1.0)? })
    }

    fn stats(&mut self) -> Result<Stats, String> {
        let (eps, momentum) = (self.number("eps", 1e-5)?, self.number("momentum", 0.1)?);
        Ok(Stats { eps, momentum, repeat: self.count("repeat", 1)? })
    }

    fn pool(&mut self) -> Result<Pool, String> {
        let kernel = self.take("kernel", (2, 2), kernel, "rows x columns, as in `2x2`")?;
        Ok(Pool { kernel, stride: self.count("stride", kernel.0)?, pad: self.count("pad", 0)? })
    }

    fn form(&mut self) -> Result<Form, String> {
        self.take("form", Form::Sigmoid, form, "sigmoid, complement or softplus")
    }

    fn over(&mut self) -> Result<Vec<AxisName>, String> {
        self.take("over", Vec::new(), over, "axes, as in `[T B]`")
    }

    fn penalty(&mut self) -> Result<Penalty, String> {
        self.take("measure", Penalty::Mean, penalty, "mean, square(at), above(at) or below(at)")
    }

    fn attention(&mut self) -> Result<Attention, String> {
        let flag = |value: &Written| word(value)?.parse().ok();
        let order = |value: &Written| {
            let word = word(value)?;
            ORDERS.iter().find(|(name, _)| *name == word).map(|(_, order)| *order)
        };
        Ok(Attention {
            over: self.take("over", Over::Space, attention_over, "space, time or space_time(chunk)")?,
            causal: self.take("causal", false, flag, "true or false")?,
            scale: self.number("scale", 1.0)?,
            order: self.take("order", Order::Auto, order, "auto, kv_first or qk_first")?,
            heads: self.count("heads", 1)?,
        })
    }

    fn lif(&mut self) -> Result<Lif, String> {
        let d = LIF_DEFAULT;
        Ok(Lif {
            decay: self.number("decay", d.decay)?,
            gain: self.number("gain", d.gain)?,
            current: self.number("current", d.current)?,
            threshold: self.number("threshold", d.threshold)?,
            reset: self.take("reset", d.reset, reset, "hard(value), soft or none")?,
            detach: self.take("detach", d.detach, |value| word(value)?.parse().ok(), "true or false")?,
            compare: self.take("compare", d.compare, compare, "ge or gt")?,
            surrogate: self.take("surrogate", d.surrogate, surrogate, "a surrogate, as in `rect(1)`")?,
            learned: self.take("learned", d.learned, learned, "constants, as in `[decay threshold]`")?,
            save: self.take("save", d.save, save, "nothing, window or membrane")?,
        })
    }

    fn finish(self) -> Result<(), String> {
        match self.pairs.first() {
            Some((key, _)) => Err(format!("there is no attribute `{key}` here")),
            None => Ok(()),
        }
    }
}

fn word(value: &Written) -> Option<&str> {
    match value {
        Written::Word(word) => Some(word),
        Written::Call(..) | Written::List(_) => None,
    }
}

fn call(value: &Written) -> Option<(&str, f32)> {
    match value {
        Written::Call(name, number) => Some((name, number.parse().ok()?)),
        Written::Word(_) | Written::List(_) => None,
    }
}

fn kernel(value: &Written) -> Option<(usize, usize)> {
    let (rows, columns) = word(value)?.split_once('x')?;
    Some((rows.parse().ok()?, columns.parse().ok()?))
}

fn over(value: &Written) -> Option<Vec<AxisName>> {
    let Written::List(words) = value else { return None };
    words
        .iter()
        .map(|word| AxisName::ALL.iter().find(|(_, text)| text == word).map(|(name, _)| *name))
        .collect()
}

fn attention_over(value: &Written) -> Option<Over> {
    let Written::Call(name, chunk) = value else {
        return match word(value)? {
            "space" => Some(Over::Space),
            "time" => Some(Over::Time),
            _other => None,
        };
    };
    if name == "space_time" { chunk.parse().ok().map(Over::SpaceTime) } else { None }
}

fn reset(value: &Written) -> Option<Reset> {
    match (word(value), call(value)) {
        (Some("soft"), _) => Some(Reset::Soft),
        (Some("none"), _) => Some(Reset::None),
        (_, Some(("hard", to))) => Some(Reset::Hard(to)),
        _other => None,
    }
}

fn compare(value: &Written) -> Option<Compare> {
    match word(value)? {
        "ge" => Some(Compare::Ge),
        "gt" => Some(Compare::Gt),
        _other => None,
    }
}

fn penalty(value: &Written) -> Option<Penalty> {
    match (word(value), call(value)) {
        (Some("mean"), _) => Some(Penalty::Mean),
        (_, Some(("square", at))) => Some(Penalty::Square(at)),
        (_, Some(("above", at))) => Some(Penalty::Above(at)),
        (_, Some(("below", at))) => Some(Penalty::Below(at)),
        _other => None,
    }
}

fn surrogate(value: &Written) -> Option<Surrogate> {
    let (name, constant) = call(value)?;
    SURROGATES.iter().find(|(known, _)| *known == name).map(|(_, make)| make(constant))
}

fn learned(value: &Written) -> Option<Learned> {
    let Written::List(words) = value else { return None };
    words.iter().try_fold(Learned::NOTHING, |learned, word| {
        let (constant, _) = Constant::ALL.iter().find(|(_, name)| name == word)?;
        Some(learned.with(*constant))
    })
}

fn form(value: &Written) -> Option<Form> {
    match word(value)? {
        "sigmoid" => Some(Form::Sigmoid),
        "complement" => Some(Form::Complement),
        "softplus" => Some(Form::Softplus),
        _other => None,
    }
}

fn save(value: &Written) -> Option<Save> {
    match word(value)? {
        "nothing" => Some(Save::Nothing),
        "window" => Some(Save::Window),
        "membrane" => Some(Save::Membrane),
        _other => None,
    }
}

/// The operation of this name and these attributes; the error is a message without a place.
pub fn op(mnemonic: &str, mut with: Attributes) -> Result<Op, String> {
    let op = match mnemonic {
        "conv2d" => Op::Conv2d(with.conv()?),
        "conv2d.grad_input" => Op::Conv2dGradInput(with.conv()?),
        "conv2d.sampled_grad_input" => Op::Conv2dSampledGradInput(with.conv()?),
        "conv2d.grad_weight" => Op::Conv2dGradWeight(with.conv()?),
        "conv2d.masked_add" => Op::Conv2dMaskedAdd(with.conv()?),
        "conv2d.masked_grad_weight" => Op::Conv2dMaskedGradWeight(with.conv()?),
        "linear" => Op::Linear,
        "linear.grad_input" => Op::LinearGradInput,
        "linear.grad_weight" => Op::LinearGradWeight,
        "linear.masked_add" => Op::LinearMaskedAdd,
        "linear.masked_grad_weight" => Op::LinearMaskedGradWeight,
        "batch_norm" => Op::BatchNorm(with.norm()?),
        "bn.stats" => Op::BnStats(with.stats()?),
        "bn.apply" => Op::BnApply(with.norm()?),
        "bn.grad_sums" => Op::BnGradSums,
        "bn.grad_input" => Op::BnGradInput(with.norm()?, with.count("over", 0)?),
        "fold.weight" => Op::FoldWeight(with.norm()?),
        "fold.bias" => Op::FoldBias(with.norm()?),
        "lif" => Op::Lif(with.lif()?),
        "lif.grad" => Op::LifGrad(with.lif()?),
        "lif.charge" => Op::LifCharge(with.lif()?),
        "lif.fire" => Op::LifFire(with.lif()?),
        "lif.window" => Op::LifWindow(with.lif()?),
        "lif.reset" => Op::LifReset(with.lif()?),
        "step_scale" => Op::StepScale,
        "step_scale.grad" => Op::StepScaleGrad,
        "neuron.constant" => Op::NeuronConstant(with.form()?),
        "neuron.constant.grad" => Op::NeuronConstantGrad(with.form()?),
        "max_pool" => Op::MaxPool(with.pool()?),
        "max_pool.grad" => Op::MaxPoolGrad(with.pool()?),
        "avg_pool" => Op::AvgPool(with.pool()?),
        "avg_pool.grad" => Op::AvgPoolGrad(with.pool()?),
        "sum" => Op::Sum(with.over()?),
        "mean" => Op::Mean(with.over()?),
        "cross_entropy" => Op::CrossEntropy(with.number("smoothing", 0.0)?),
        "cross_entropy.grad" => Op::CrossEntropyGrad(with.number("smoothing", 0.0)?),
        "penalty" => Op::Penalty(with.penalty()?),
        "penalty.grad" => Op::PenaltyGrad(with.penalty()?),
        "flatten" => Op::Flatten,
        "unflatten" => Op::Unflatten,
        "broadcast" => Op::Broadcast,
        "relayout" => Op::Relayout,
        "pack" => Op::Pack,
        "unpack" => Op::Unpack,
        "piece" => Op::Piece(Piece { from: with.count("from", 0)?, steps: with.count("steps", 1)? }),
        "join" => Op::Join,
        "attention" => Op::Attention(with.attention()?),
        "attention.grad" => Op::AttentionGrad(with.attention()?),
        "mask" => Op::Mask,
        "mask.not" => Op::MaskNot,
        "channel_sum" => Op::ChannelSum(with.count("groups", 1)?),
        "channel_spread" => Op::ChannelSpread,
        "add" => Op::Add,
        "scale" => Op::Scale(with.number("by", 1.0)?),
        other => return Err(format!("there is no operation `{other}`")),
    };
    with.finish()?;
    Ok(op)
}
