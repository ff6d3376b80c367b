//! The `train` block: loss, optimiser, schedule, batch and data.

use crate::args::Range;
use crate::ast::{Call, Expr, Train};
use crate::diagnostic::Diagnostic;
use crate::eval::Expander;
use crate::expand::Slot;
use crate::model::{Init, Optimizer, Recipe, Schedule};
use crate::near::nearest;
use crate::resolve;
use crate::slug::Slug;
use crate::span::Span;

const FIELDS: [&str; 9] =
    ["loss", "optimizer", "clip_norm", "ema", "schedule", "batch", "init", "data", "augment"];

/// The most epochs.
const MAX_EPOCHS: usize = 1_000_000;

/// The largest batch.
const MAX_BATCH: usize = 1 << 16;

impl<'p> Expander<'p> {
    /// Evaluates the train block; what it leaves out, or gets wrong, keeps its default.
    pub fn recipe(&mut self, train: &'p Train) -> Recipe {
        let mut recipe = Recipe::default();
        let mut seen: Vec<(&str, Span)> = Vec::new();
        for field in &train.fields {
            let (name, span) = (field.name.text.as_str(), field.name.span);
            if let Some(&(_, first)) = seen.iter().find(|(earlier, _)| *earlier == name) {
                let message = format!("`{name}` is given twice");
                let diagnostic = Diagnostic::error(Slug::DuplicateSection, message).at(span, "given again");
                self.error(diagnostic.with(first, "first given here"));
                continue;
            }
            seen.push((name, span));
            self.recipe_field(&mut recipe, name, span, &field.value);
        }
        recipe
    }

    fn recipe_field(&mut self, recipe: &mut Recipe, name: &str, span: Span, value: &'p Expr) -> Option<()> {
        match name {
            "loss" => recipe.loss = self.loss(value)?,
            "optimizer" => (recipe.optimizer, recipe.decay_all) = self.optimizer(value)?,
            "clip_norm" => recipe.clip_norm = Some(self.real(value, "`clip_norm`", Range::Positive)?),
            "ema" => recipe.ema = Some(self.real(value, "`ema`", Range::BelowOne)?),
            "schedule" => recipe.schedule = self.schedule(value)?,
            "batch" => {
                let batch = self.eval(value);
                recipe.batch = self.int(batch, value.span, "`batch`", 1, MAX_BATCH)?;
            }
            "init" => recipe.init = self.init(value)?,
            "augment" => recipe.augment = self.augment(value)?,
            "data" => match value.as_name() {
                Some(data) => recipe.data = Some(data.to_string()),
                None => {
                    let message = "`data` is the name of a data set";
                    let diagnostic = Diagnostic::error(Slug::WrongKind, message).at(value.span, "");
                    self.error(diagnostic.help("write `data digits`"));
                }
            },
            unknown => {
                let message = format!("`train` has no field `{unknown}`");
                let diagnostic = Diagnostic::error(Slug::UnknownField, message).at(span, "unknown field");
                self.error(match nearest(unknown, FIELDS) {
                    Some(near) => diagnostic.help(format!("write `{near}`")),
                    None => diagnostic.help(format!("its fields are: {}", FIELDS.join(", "))),
                });
            }
        }
        Some(())
    }

    /// `default`, `kaiming_fan_out` or `normal(std, linear)`.
    fn init(&mut self, value: &'p Expr) -> Option<Init> {
        if value.as_name().is_some_and(|word| word != "normal") {
            let word = self.word(value, "init", &["default", "kaiming_fan_out", "normal"])?;
            return Some(if word == "default" { Init::Default } else { Init::KaimingFanOut });
        }
        let call = self.setting(value, "init", &["normal"])?;
        let args = self.settings(call, &["std", "linear"], 1)?;
        let std = self.real(args[0]?, "`std`", Range::Positive);
        let linear = args[1].map_or(Some(false), |arg| self.boolean(arg, "`linear`"));
        Some(Init::Normal { std: std?, linear: linear? })
    }

    /// The call that a field holds, among a few.
    fn setting(&mut self, value: &'p Expr, what: &str, names: &[&str]) -> Option<&'p Call> {
        if let crate::ast::ExprKind::Call(call) = &value.kind {
            if names.contains(&call.name.text.as_str()) {
                return Some(call);
            }
            let diagnostic = resolve::unknown(&call.name.text, call.name.span, names.iter().copied());
            let known = format!("`{what}` is one of: {}", names.join(", "));
            let diagnostic = if diagnostic.help.is_none() { diagnostic.help(known) } else { diagnostic };
            self.error(diagnostic);
            return None;
        }
        let message = format!("`{what}` needs one of: {}, with arguments", names.join(", "));
        let diagnostic = Diagnostic::error(Slug::WrongKind, message).at(value.span, "");
        self.error(diagnostic.help(format!("write `{what} {}(…)`", names[0])));
        None
    }

    /// The optimiser, and whether all parameters decay.
    fn optimizer(&mut self, value: &'p Expr) -> Option<(Optimizer, bool)> {
        let call = self.setting(value, "optimizer", &["sgd", "adam", "adamw"])?;
        if call.name.text == "sgd" {
            let args = self.settings(call, &["lr", "momentum", "nesterov", "weight_decay", "decay"], 1)?;
            let lr = self.real(args[0]?, "`lr`", Range::Positive);
            let momentum = self.optional(args[1], "`momentum`", Range::BelowOne, 0.0);
            let nesterov = args[2].map_or(Some(false), |arg| self.boolean(arg, "`nesterov`"));
            let weight_decay = self.optional(args[3], "`weight_decay`", Range::NotNegative, 0.0);
            let all = self.decay_all(args[4]);
            let (momentum, nesterov) = (momentum?, nesterov?);
            return Some((Optimizer::Sgd { lr: lr?, momentum, nesterov, weight_decay: weight_decay? }, all?));
        }
        let decoupled = call.name.text == "adamw";
        let args = self.settings(call, &["lr", "beta1", "beta2", "eps", "weight_decay", "decay"], 1)?;
        let lr = self.real(args[0]?, "`lr`", Range::Positive);
        let beta1 = self.optional(args[1], "`beta1`", Range::BelowOne, 0.9);
        let beta2 = self.optional(args[2], "`beta2`", Range::BelowOne, 0.999);
        let eps = self.optional(args[3], "`eps`", Range::Positive, 1e-8);
        let default = if decoupled { 0.01 } else { 0.0 };
        let weight_decay = self.optional(args[4], "`weight_decay`", Range::NotNegative, default);
        let all = self.decay_all(args[5]);
        let (beta1, beta2, eps) = (beta1?, beta2?, eps?);
        Some((Optimizer::Adam { lr: lr?, beta1, beta2, eps, weight_decay: weight_decay?, decoupled }, all?))
    }

    /// `decay: weights` or `decay: all`.
    fn decay_all(&mut self, arg: Option<&'p Expr>) -> Option<bool> {
        arg.map_or(Some(false), |arg| Some(self.word(arg, "decay", &["weights", "all"])? == "all"))
    }

    fn schedule(&mut self, value: &'p Expr) -> Option<Schedule> {
        let call = self.setting(value, "schedule", &["cosine", "step", "constant"])?;
        match call.name.text.as_str() {
            "cosine" => {
                let args = self.settings(call, &["epochs", "warmup", "min_lr"], 1)?;
                let epochs = self.whole(args[0]?, "`epochs`", 1, MAX_EPOCHS);
                let warmup = self.warmup(args[1], epochs);
                let min_lr = self.optional(args[2], "`min_lr`", Range::NotNegative, 0.0);
                Some(Schedule::Cosine { epochs: epochs?, warmup: warmup?, min_lr: min_lr? })
            }
            "step" => {
                let args = self.settings(call, &["epochs", "every", "gamma", "warmup"], 2)?;
                let epochs = self.whole(args[0]?, "`epochs`", 1, MAX_EPOCHS);
                let every = self.whole(args[1]?, "`every`", 1, MAX_EPOCHS);
                let gamma = self.optional(args[2], "`gamma`", Range::Positive, 0.1);
                let warmup = self.warmup(args[3], epochs);
                Some(Schedule::Step { epochs: epochs?, every: every?, gamma: gamma?, warmup: warmup? })
            }
            _ => {
                let args = self.settings(call, &["epochs"], 1)?;
                Some(Schedule::Constant { epochs: self.whole(args[0]?, "`epochs`", 1, MAX_EPOCHS)? })
            }
        }
    }

    fn warmup(&mut self, arg: Option<&'p Expr>, epochs: Option<usize>) -> Option<usize> {
        let most = epochs.unwrap_or(MAX_EPOCHS);
        arg.map_or(Some(0), |arg| self.whole(arg, "`warmup`", 0, most))
    }

    fn whole(&mut self, arg: &'p Expr, what: &str, min: usize, max: usize) -> Option<usize> {
        let value = self.eval(arg);
        self.int(value, arg.span, what, min, max)
    }

    fn optional(&mut self, arg: Option<&'p Expr>, what: &str, range: Range, default: f64) -> Option<f64> {
        arg.map_or(Some(default), |arg| self.real(arg, what, range))
    }

    /// The arguments of a setting by formal; the first `required` of them must be there.
    pub(crate) fn settings(
        &mut self,
        call: &'p Call,
        formals: &[&str],
        required: usize,
    ) -> Option<Vec<Option<&'p Expr>>> {
        let slots = self.bind(call, formals, None)?;
        let args: Vec<Option<&Expr>> = slots
            .into_iter()
            .map(|slot| match slot {
                Slot::Written(expr) => Some(expr),
                Slot::Piped(_) | Slot::Empty => None,
            })
            .collect();
        if let Some(at) = args.iter().take(required).position(Option::is_none) {
            let (name, lacking) = (&call.name.text, formals[at]);
            let message = format!("`{name}` lacks `{lacking}`");
            let diagnostic = Diagnostic::error(Slug::MissingArgument, message).at(call.span, "");
            self.error(diagnostic.help(format!("write `{name}({lacking}: …)`")));
            return None;
        }
        Some(args)
    }
}
