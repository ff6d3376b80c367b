//! The `augment` of a `train` block: operations on samples, in order.
//!
//! ```text
//! augment pad_crop(4) + flip + autoaugment(cifar10) + normalize(cifar10) + cutout(16) + cutmix(1.0, p: 0.5)
//! ```

use crate::args::Range;
use crate::ast::{BinaryOp, Expr, ExprKind, Train};
use crate::diagnostic::Diagnostic;
use crate::eval::Expander;
use crate::model::Input;
use crate::resolve;
use crate::sample::{Augment, Normalization, Policy, SplitBy};
use crate::shape::{Kind, Shape};
use crate::slug::Slug;
use crate::span::Span;

/// The operations by name, each as it may be written.
const OPS: [(&str, &str); 13] = [
    ("frames", "frames(time)"),
    ("resized_crop", "resized_crop(0.08)"),
    ("pad_crop", "pad_crop(4)"),
    ("flip", "flip"),
    ("cutout", "cutout(16)"),
    ("roll", "roll(5)"),
    ("rotate", "rotate(15)"),
    ("autoaugment", "autoaugment(cifar10)"),
    ("randaugment", "randaugment(n: 2, m: 9)"),
    ("color_jitter", "color_jitter(0.5)"),
    ("normalize", "normalize(cifar10)"),
    ("mixup", "mixup(0.2)"),
    ("cutmix", "cutmix(1.0, p: 0.5)"),
];

/// The tables of constants.
const TABLES: [&str; 6] = ["cifar10", "cifar10_pixels", "cifar100", "imagenet", "mnist", "none"];

/// The most pixels of a shift, border or square.
const MAX_PIXELS: usize = 1024;

/// The largest strength of `randaugment`.
const MAX_STRENGTH: usize = 30;

impl<'p> Expander<'p> {
    /// The operations that an expression lists.
    pub(crate) fn augment(&mut self, value: &'p Expr) -> Option<Vec<Augment>> {
        let mut items = Vec::new();
        self.augment_items(value, &mut items)?;
        let found: Vec<Option<(Augment, Span)>> =
            items.into_iter().map(|item| Some((self.augment_op(item)?, item.span))).collect();
        let found = found.into_iter().collect::<Option<Vec<_>>>()?;
        self.augment_order(&found)?;
        Some(found.into_iter().map(|(op, _)| op).collect())
    }

    /// The items of a list; an `if` stands for those of the body whose condition holds.
    fn augment_items(&mut self, value: &'p Expr, to: &mut Vec<&'p Expr>) -> Option<()> {
        match &value.kind {
            ExprKind::Chain(first, rest) if rest.iter().all(|(op, _)| *op == BinaryOp::Add) => {
                self.augment_items(first, to)?;
                rest.iter().try_for_each(|(_, item)| self.augment_items(item, to))
            }
            ExprKind::If(arms, otherwise) => {
                let body = self.chosen(arms, otherwise)?;
                if body.bindings.is_empty() {
                    return self.augment_items(&body.result, to);
                }
                self.no_operation(value.span);
                None
            }
            _ => {
                to.push(value);
                Some(())
            }
        }
    }

    fn no_operation(&mut self, span: Span) {
        let message = "`augment` is a list of operations, joined by `+`";
        let diagnostic = Diagnostic::error(Slug::WrongKind, message).at(span, "not an operation");
        self.error(diagnostic.help("write `augment pad_crop(4) + flip`"));
    }

    /// Reports what is given twice, changes of pixels behind their normalisation, and what stands behind a mix.
    fn augment_order(&mut self, ops: &[(Augment, Span)]) -> Option<()> {
        let once = |op: &Augment| match op {
            Augment::Frames(_) => Some(0),
            Augment::ResizedCrop { .. } => Some(1),
            Augment::Normalize(_) => Some(2),
            Augment::Mixup { .. } => Some(3),
            Augment::CutMix { .. } => Some(4),
            Augment::PadCrop { .. }
            | Augment::Flip { .. }
            | Augment::Cutout { .. }
            | Augment::Roll { .. }
            | Augment::Rotate { .. }
            | Augment::AutoAugment(_)
            | Augment::RandAugment { .. }
            | Augment::ColorJitter { .. } => None,
        };
        for (at, (op, span)) in ops.iter().enumerate() {
            let twice =
                once(op).and_then(|kind| ops[..at].iter().find(|(earlier, _)| once(earlier) == Some(kind)));
            if let Some((_, first)) = twice {
                let message = "this operation stands once in a list";
                let diagnostic = Diagnostic::error(Slug::DuplicateArgument, message).at(*span, "given again");
                self.error(diagnostic.with(*first, "first given here"));
                return None;
            }
        }
        if let Some(mix) = ops.iter().position(|(op, _)| op.mixes())
            && let Some((_, late)) = ops[mix..].iter().find(|(op, _)| !op.mixes())
        {
            let message = "samples are mixed when all else is done";
            let diagnostic = Diagnostic::error(Slug::BadValue, message).at(*late, "comes too late");
            self.error(diagnostic.with(ops[mix].1, "mixed here").help("move it before"));
            return None;
        }
        let Some(normal) = ops.iter().position(|(op, _)| matches!(op, Augment::Normalize(_))) else {
            return Some(());
        };
        let late = ops[normal..].iter().find(|(op, _)| changes_colours(op));
        if let Some((_, span)) = late {
            let message = "colours of 8 bits are changed before they are normalised";
            let diagnostic = Diagnostic::error(Slug::BadValue, message).at(*span, "comes too late");
            let diagnostic = diagnostic.with(ops[normal].1, "normalised here");
            self.error(diagnostic.help("move it before `normalize`"));
            return None;
        }
        Some(())
    }

    fn augment_op(&mut self, item: &'p Expr) -> Option<Augment> {
        let (name, span) = match &item.kind {
            ExprKind::Call(call) => (call.name.text.as_str(), call.name.span),
            ExprKind::Name(_) => (item.as_name().unwrap_or_default(), item.span),
            _ => {
                self.no_operation(item.span);
                return None;
            }
        };
        if !OPS.iter().any(|(op, _)| *op == name) {
            let names = OPS.map(|(op, _)| op);
            let diagnostic = resolve::unknown(name, span, names);
            let all = format!("the operations are: {}", names.join(", "));
            let diagnostic = if diagnostic.help.is_none() { diagnostic.help(all) } else { diagnostic };
            self.error(diagnostic);
            return None;
        }
        self.known_op(item, name)
    }

    fn known_op(&mut self, item: &'p Expr, name: &str) -> Option<Augment> {
        let pixels = |this: &mut Self, what: &str| -> Option<usize> {
            let arg = this.op_args(item, name, &[what], 1)?[0]?;
            this.pixels(arg, what)
        };
        Some(match name {
            "frames" => {
                let arg = self.op_args(item, name, &["by"], 1)?[0]?;
                match self.word(arg, "by", &["number", "time"])? {
                    "time" => Augment::Frames(SplitBy::Time),
                    _ => Augment::Frames(SplitBy::Number),
                }
            }
            "resized_crop" => {
                let arg = self.op_args(item, name, &["scale"], 1)?[0]?;
                let scale = self.real(arg, "`scale`", Range::Unit)?;
                Augment::ResizedCrop { scale: self.above_zero(scale, arg.span, "`scale`")? }
            }
            "pad_crop" => Augment::PadCrop { pixels: pixels(self, "pixels")? },
            "flip" => {
                let arg = self.op_args(item, name, &["p"], 0)?[0];
                Augment::Flip { p: self.real_arg(arg, "`p`", Range::Unit, 0.5)? }
            }
            "cutout" => Augment::Cutout { size: pixels(self, "size")? },
            "roll" => Augment::Roll { pixels: pixels(self, "pixels")? },
            "rotate" => {
                let arg = self.op_args(item, name, &["degrees"], 1)?[0]?;
                let degrees = self.real(arg, "`degrees`", Range::NotNegative)?;
                if degrees > 180.0 {
                    self.too_large(arg.span, "`degrees`", "at most 180");
                    return None;
                }
                Augment::Rotate { degrees }
            }
            "autoaugment" => {
                let arg = self.op_args(item, name, &["policy"], 1)?[0]?;
                match self.word(arg, "policy", &["cifar10", "imagenet"])? {
                    "imagenet" => Augment::AutoAugment(Policy::ImageNet),
                    _ => Augment::AutoAugment(Policy::Cifar10),
                }
            }
            "randaugment" => {
                let args = self.op_args(item, name, &["n", "m"], 0)?;
                let n = self.int_arg(args[0], "`n`", 1, 16, 2)?;
                Augment::RandAugment { n, m: self.int_arg(args[1], "`m`", 0, MAX_STRENGTH, 9)? }
            }
            "color_jitter" => {
                let arg = self.op_args(item, name, &["strength"], 1)?[0]?;
                Augment::ColorJitter { strength: self.real(arg, "`strength`", Range::Unit)? }
            }
            "mixup" => {
                let (alpha, p) = self.mix(item, name, 0.2)?;
                Augment::Mixup { alpha, p }
            }
            "cutmix" => {
                let (alpha, p) = self.mix(item, name, 1.0)?;
                Augment::CutMix { alpha, p }
            }
            _ => Augment::Normalize(self.normalization(item, name)?),
        })
    }

    /// `alpha` and `p` of a mix of two samples.
    fn mix(&mut self, item: &'p Expr, name: &str, alpha: f64) -> Option<(f64, f64)> {
        let args = self.op_args(item, name, &["alpha", "p"], 0)?;
        let alpha = self.real_arg(args[0], "`alpha`", Range::Positive, alpha);
        Some((alpha?, self.real_arg(args[1], "`p`", Range::Unit, 1.0)?))
    }

    /// Reports mixes that the input does not take.
    pub(crate) fn check_augment(&mut self, ops: &[Augment], input: &Input, train: Option<&Train>) {
        let spikes = input.kind == Kind::Spikes && input.encoder.is_none();
        let features = matches!(input.shape, Shape::Features(_));
        let fault = ops.iter().find_map(|op| match op {
            Augment::Mixup { .. } if spikes => Some((
                "`mixup` makes numbers between 0 and 1, the input is spikes",
                "write `cutmix`, or take it out",
            )),
            Augment::CutMix { .. } if features => Some((
                "`cutmix` needs rows and columns, the input has features",
                "write `mixup`, or take it out",
            )),
            _fits => None,
        });
        let field = train.and_then(|train| train.fields.iter().find(|field| field.name.text == "augment"));
        if let (Some((message, help)), Some(field)) = (fault, field) {
            let diagnostic = Diagnostic::error(Slug::BadValue, message).at(field.value.span, "");
            self.error(diagnostic.help(help));
        }
    }

    fn pixels(&mut self, arg: &'p Expr, what: &str) -> Option<usize> {
        self.int_arg(Some(arg), &format!("`{what}`"), 1, MAX_PIXELS, 1)
    }

    /// `normalize(cifar10)`, or `normalize(mean: 0.5, std: 0.25)`.
    fn normalization(&mut self, item: &'p Expr, name: &str) -> Option<Normalization> {
        let args = self.op_args(item, name, &["table", "mean", "std"], 0)?;
        let (mean, std) = match (args[0], args[1], args[2]) {
            (Some(table), None, None) => return self.table(table),
            (None, Some(mean), Some(std)) => (mean, std),
            _ => {
                let message = "`normalize` takes the name of a table, or `mean` and `std`";
                let diagnostic = Diagnostic::error(Slug::MissingArgument, message).at(item.span, "");
                self.error(
                    diagnostic.help("write `normalize(cifar10)` or `normalize(mean: 0.5, std: 0.25)`"),
                );
                return None;
            }
        };
        let mean = self.real(mean, "`mean`", Range::Any);
        Some(Normalization::Constants { mean: mean?, std: self.real(std, "`std`", Range::Positive)? })
    }

    fn table(&mut self, arg: &'p Expr) -> Option<Normalization> {
        Some(match self.word(arg, "table", &TABLES)? {
            "cifar10" => Normalization::Cifar10,
            "cifar10_pixels" => Normalization::Cifar10Pixels,
            "cifar100" => Normalization::Cifar100,
            "imagenet" => Normalization::ImageNet,
            "mnist" => Normalization::Mnist,
            _ => Normalization::None,
        })
    }

    /// The arguments of an operation, which has none where it is a bare name.
    fn op_args(
        &mut self,
        item: &'p Expr,
        name: &str,
        formals: &[&str],
        required: usize,
    ) -> Option<Vec<Option<&'p Expr>>> {
        if let ExprKind::Call(call) = &item.kind {
            return self.settings(call, formals, required);
        }
        if required == 0 && name != "normalize" {
            return Some(vec![None; formals.len()]);
        }
        let message = format!("`{name}` lacks `{}`", formals[0]);
        let diagnostic = Diagnostic::error(Slug::MissingArgument, message).at(item.span, "");
        let written = OPS.iter().find(|(op, _)| *op == name).map_or(name, |(_, written)| written);
        self.error(diagnostic.help(format!("write `{written}`")));
        None
    }

    fn above_zero(&mut self, value: f64, span: Span, what: &str) -> Option<f64> {
        if value > 0.0 {
            return Some(value);
        }
        self.too_large(span, what, Range::Positive.words());
        None
    }

    fn too_large(&mut self, span: Span, what: &str, range: &str) {
        let message = format!("{what} must be {range}");
        self.error(Diagnostic::error(Slug::BadValue, message).at(span, ""));
    }
}

/// Whether an operation works on colours of 8 bits alone.
fn changes_colours(op: &Augment) -> bool {
    match op {
        Augment::AutoAugment(_) | Augment::RandAugment { .. } | Augment::ColorJitter { .. } => true,
        Augment::Frames(_)
        | Augment::ResizedCrop { .. }
        | Augment::PadCrop { .. }
        | Augment::Flip { .. }
        | Augment::Cutout { .. }
        | Augment::Roll { .. }
        | Augment::Rotate { .. }
        | Augment::Normalize(_)
        | Augment::Mixup { .. }
        | Augment::CutMix { .. } => false,
    }
}
