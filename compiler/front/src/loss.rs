//! The `loss` of a `train` block: a weighted sum of terms, one of which compares the logits with the labels.
//!
//! ```text
//! loss cross_entropy(smoothing: 0.1) + 1e-4 * spike_rate(target: 0.15)
//! ```

use crate::args::Range;
use crate::ast::{BinaryOp, Expr, ExprKind, Train};
use crate::diagnostic::Diagnostic;
use crate::eval::Expander;
use crate::model::{Layer, Loss, LossTerm, RateForm};
use crate::resolve;
use crate::slug::Slug;
use crate::span::Span;
use crate::value::Value;

/// The terms by name.
const TERMS: [&str; 4] = ["cross_entropy", "tet", "spike_rate", "synaptic_operations"];

/// The forms of `spike_rate`, of which a term has one.
const FORMS: [&str; 4] = ["power", "target", "above", "below"];

impl<'p> Expander<'p> {
    /// The loss that an expression stands for.
    pub(crate) fn loss(&mut self, value: &'p Expr) -> Option<Loss> {
        let mut terms = Vec::new();
        self.loss_terms(value, 1.0, &mut terms)?;
        let compared = terms.iter().filter(|(_, term)| term.compares()).count();
        if compared != 1 {
            let message = format!("a loss compares logits with labels once, found {compared} such terms");
            let diagnostic = Diagnostic::error(Slug::BadValue, message).at(value.span, "");
            self.error(diagnostic.help("write one `cross_entropy` or `tet`, and add penalties to it"));
            return None;
        }
        Some(Loss { terms })
    }

    /// Adds the terms of an expression, each `weight` times its own weight.
    fn loss_terms(&mut self, value: &'p Expr, weight: f64, to: &mut Vec<(f64, LossTerm)>) -> Option<()> {
        match &value.kind {
            ExprKind::Chain(first, rest) if rest.iter().all(|(op, _)| *op == BinaryOp::Add) => {
                self.loss_terms(first, weight, to)?;
                rest.iter().try_for_each(|(_, term)| self.loss_terms(term, weight, to))
            }
            ExprKind::Chain(first, rest)
                if rest.iter().all(|(op, _)| matches!(op, BinaryOp::Mul | BinaryOp::Div)) =>
            {
                self.weighted_term(first, rest, weight, to)
            }
            ExprKind::Name(_) | ExprKind::Call(_) => {
                let term = self.loss_term(value)?;
                to.push((weight, term));
                Some(())
            }
            ExprKind::Int(_)
            | ExprKind::Float(_)
            | ExprKind::Bool(_)
            | ExprKind::Text(_)
            | ExprKind::Invalid
            | ExprKind::Member(..)
            | ExprKind::If(..)
            | ExprKind::Unary(..)
            | ExprKind::Chain(..)
            | ExprKind::Pipe(..) => {
                self.no_term(value.span);
                None
            }
        }
    }

    fn no_term(&mut self, span: Span) {
        let message = "a loss is a sum of terms, each of them with a weight or without";
        let diagnostic = Diagnostic::error(Slug::WrongKind, message).at(span, "not a term");
        self.error(diagnostic.help("write `cross_entropy + 1e-4 * spike_rate`"));
    }

    /// A product of numbers and one loss.
    fn weighted_term(
        &mut self,
        first: &'p Expr,
        rest: &'p [(BinaryOp, Expr)],
        mut weight: f64,
        to: &mut Vec<(f64, LossTerm)>,
    ) -> Option<()> {
        let operands = || std::iter::once((BinaryOp::Mul, first)).chain(rest.iter().map(|(op, e)| (*op, e)));
        let mut inner = None;
        for (op, operand) in operands() {
            if is_loss(operand) {
                if op == BinaryOp::Div || inner.is_some() {
                    self.no_term(operand.span);
                    return None;
                }
                inner = Some(operand);
            } else {
                let range = if op == BinaryOp::Div { Range::Positive } else { Range::NotNegative };
                let factor = self.real(operand, "the weight of a term", range)?;
                weight = if op == BinaryOp::Div { weight / factor } else { weight * factor };
            }
        }
        match inner {
            Some(inner) => self.loss_terms(inner, weight, to),
            None => {
                self.no_term(first.span);
                None
            }
        }
    }

    fn loss_term(&mut self, value: &'p Expr) -> Option<LossTerm> {
        Some(match loss_name(value) {
            Some("cross_entropy") => {
                let args = self.loss_args(value, &["smoothing"])?;
                LossTerm::CrossEntropy { smoothing: self.smoothing(args[0])? }
            }
            Some("tet") => {
                let args = self.loss_args(value, &["lambda", "target", "smoothing"])?;
                LossTerm::Tet {
                    lambda: self.real_arg(args[0], "`lambda`", Range::Unit, 0.05)?,
                    target: self.real_arg(args[1], "`target`", Range::Any, 1.0)?,
                    smoothing: self.smoothing(args[2])?,
                }
            }
            Some("spike_rate") => {
                let args = self.loss_args(value, &FORMS)?;
                LossTerm::SpikeRate(self.rate_form(value, &args)?)
            }
            Some(_) => {
                self.loss_args(value, &[])?;
                LossTerm::SynapticOperations
            }
            None => {
                let (name, span) = match &value.kind {
                    ExprKind::Call(call) => (call.name.text.as_str(), call.name.span),
                    _ => (value.as_name().unwrap_or(""), value.span),
                };
                let diagnostic = resolve::unknown(name, span, TERMS);
                let all = format!("the terms of a loss are: {}", TERMS.join(", "));
                let diagnostic = if diagnostic.help.is_none() { diagnostic.help(all) } else { diagnostic };
                self.error(diagnostic);
                return None;
            }
        })
    }

    fn smoothing(&mut self, arg: Option<&'p Expr>) -> Option<f64> {
        self.real_arg(arg, "`smoothing`", Range::BelowOne, 0.0)
    }

    /// The arguments of a term, which has none where it is a bare name.
    fn loss_args(&mut self, value: &'p Expr, formals: &[&str]) -> Option<Vec<Option<&'p Expr>>> {
        match &value.kind {
            ExprKind::Call(call) => self.settings(call, formals, 0),
            _ => Some(vec![None; formals.len()]),
        }
    }

    fn rate_form(&mut self, value: &'p Expr, args: &[Option<&'p Expr>]) -> Option<RateForm> {
        let mut given = args.iter().zip(FORMS).filter_map(|(arg, form)| Some(((*arg)?, form)));
        let (first, second) = (given.next(), given.next());
        if second.is_some() {
            let diagnostic = Diagnostic::error(Slug::DuplicateArgument, "a `spike_rate` has one form");
            let diagnostic = diagnostic.at(value.span, format!("one of: {}", FORMS.join(", ")));
            self.error(diagnostic.help("add a second `spike_rate` to the loss"));
            return None;
        }
        let Some((arg, form)) = first else { return Some(RateForm::Mean) };
        if form == "power" {
            let power = self.int_arg(Some(arg), "`power`", 1, 2, 1)?;
            return Some(if power == 1 { RateForm::Mean } else { RateForm::Square });
        }
        let rate = self.real(arg, &format!("`{form}`"), Range::Unit)?;
        Some(match form {
            "target" => RateForm::Target(rate),
            "above" => RateForm::Above(rate),
            _ => RateForm::Below(rate),
        })
    }

    /// Reports a penalty of spikes in a network without any, once its layers are known.
    pub(crate) fn check_loss(&mut self, loss: &Loss, train: Option<&Train>) {
        let counts = |(_, term): &(f64, LossTerm)| !term.compares();
        if !loss.terms.iter().any(counts) {
            return;
        }
        if self.nodes.iter().any(|node| matches!(node.layer, Layer::Neuron(_))) {
            return;
        }
        let field = train.and_then(|train| train.fields.iter().find(|field| field.name.text == "loss"));
        if let Some(field) = field {
            let message = "the loss counts spikes, but the network has no neuron";
            let diagnostic = Diagnostic::error(Slug::BadValue, message).at(field.value.span, "");
            self.error(diagnostic.help("write `loss cross_entropy`"));
        }
    }
}

/// The name of the loss that an expression calls.
fn loss_name(value: &Expr) -> Option<&'static str> {
    let name = match &value.kind {
        ExprKind::Call(call) => call.name.text.as_str(),
        _ => value.as_name()?,
    };
    TERMS.into_iter().find(|term| *term == name)
}

/// Whether an operand of a product is a loss, or a sum of some, and not a number.
fn is_loss(value: &Expr) -> bool {
    match &value.kind {
        ExprKind::Chain(first, rest) => is_loss(first) || rest.iter().any(|(_, operand)| is_loss(operand)),
        ExprKind::Call(_) => true,
        _ => loss_name(value).is_some(),
    }
}

impl Loss {
    /// The plain cross-entropy of the mean over time.
    pub fn cross_entropy() -> Loss {
        Loss { terms: vec![(1.0, LossTerm::CrossEntropy { smoothing: 0.0 })] }
    }
}

impl LossTerm {
    /// Whether the term compares logits with labels; otherwise it is a penalty of spikes.
    pub fn compares(&self) -> bool {
        match self {
            LossTerm::CrossEntropy { .. } | LossTerm::Tet { .. } => true,
            LossTerm::SpikeRate(_) | LossTerm::SynapticOperations => false,
        }
    }
}

impl std::fmt::Display for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (n, (weight, term)) in self.terms.iter().enumerate() {
            f.write_str(if n > 0 { " + " } else { "" })?;
            if *weight != 1.0 {
                write!(f, "{} * ", Value::Float(*weight))?;
            }
            match term {
                LossTerm::CrossEntropy { smoothing: 0.0 } => f.write_str("cross_entropy")?,
                LossTerm::CrossEntropy { smoothing } => write!(f, "cross_entropy(smoothing: {smoothing})")?,
                LossTerm::Tet { lambda, target, smoothing } => {
                    write!(f, "tet(lambda: {lambda}, target: {target}, smoothing: {smoothing})")?;
                }
                LossTerm::SpikeRate(RateForm::Mean) => f.write_str("spike_rate")?,
                LossTerm::SpikeRate(RateForm::Square) => f.write_str("spike_rate(power: 2)")?,
                LossTerm::SpikeRate(RateForm::Target(rate)) => write!(f, "spike_rate(target: {rate})")?,
                LossTerm::SpikeRate(RateForm::Above(rate)) => write!(f, "spike_rate(above: {rate})")?,
                LossTerm::SpikeRate(RateForm::Below(rate)) => write!(f, "spike_rate(below: {rate})")?,
                LossTerm::SynapticOperations => f.write_str("synaptic_operations")?,
            }
        }
        Ok(())
    }
}
