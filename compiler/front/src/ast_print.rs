//! The readable text of a syntax tree (`--emit ast`): the language itself, with every operator in parentheses.

use crate::ast::*;
use std::fmt::{self, Display, Formatter};

impl Display for File {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for item in &self.items {
            match item {
                Item::Include(include) => writeln!(f, "include {:?}", include.path)?,
                Item::Param(param) => writeln!(f, "param {} = {}", param.name.text, param.value)?,
                Item::Neuron(neuron) => writeln!(f, "neuron {} = {}", neuron.name.text, neuron.base)?,
                Item::Block(block) => self::block(f, block)?,
                Item::Network(network) => self::network(f, network)?,
                Item::Train(train) => {
                    writeln!(f, "train {{")?;
                    for field in &train.fields {
                        writeln!(f, "    {} {}", field.name.text, field.value)?;
                    }
                    writeln!(f, "}}")?;
                }
            }
        }
        Ok(())
    }
}

fn block(f: &mut Formatter<'_>, block: &Block) -> fmt::Result {
    write!(f, "block {}(", block.name.text)?;
    for (n, formal) in block.formals.iter().enumerate() {
        write!(f, "{}{}", if n > 0 { ", " } else { "" }, formal.name.text)?;
        if let Some(default) = &formal.default {
            write!(f, " = {default}")?;
        }
    }
    writeln!(f, ") {{")?;
    lines(f, &block.body)
}

fn network(f: &mut Formatter<'_>, network: &Network) -> fmt::Result {
    writeln!(f, "network {} {{", network.name.text)?;
    for timesteps in &network.timesteps {
        writeln!(f, "    timesteps {timesteps}")?;
    }
    for input in &network.inputs {
        write!(f, "    input {}: {}[{}]", input.name.text, input.elem.text, list(&input.axes))?;
        input.encoders.iter().try_for_each(|encoder| write!(f, " |> {encoder}"))?;
        writeln!(f)?;
    }
    lines(f, &network.body)
}

/// A body, one line a binding, and its closing brace.
fn lines(f: &mut Formatter<'_>, body: &Body) -> fmt::Result {
    for binding in &body.bindings {
        writeln!(f, "    let {} = {}", binding.name.text, binding.value)?;
    }
    writeln!(f, "    {}\n}}", body.result)
}

impl Display for Body {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("{ ")?;
        for binding in &self.bindings {
            write!(f, "let {} = {} ", binding.name.text, binding.value)?;
        }
        write!(f, "{} }}", self.result)
    }
}

impl Display for Call {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name.text)?;
        if !self.args.is_empty() {
            write!(f, "({})", list(&self.args))?;
        }
        Ok(())
    }
}

impl Display for Arg {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{}: {}", name.text, self.value),
            None => write!(f, "{}", self.value),
        }
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Int(value) => write!(f, "{value}"),
            ExprKind::Float(value) => write!(f, "{value:?}"),
            ExprKind::Bool(value) => write!(f, "{value}"),
            ExprKind::Text(value) => write!(f, "\"{value}\""),
            ExprKind::Invalid => f.write_str("0"),
            ExprKind::Name(name) => f.write_str(name),
            ExprKind::Member(base, member) => write!(f, "({base}).{}", member.text),
            ExprKind::Call(call) => write!(f, "{call}"),
            ExprKind::If(arms, otherwise) => {
                for (condition, body) in arms {
                    write!(f, "if {condition} {body} else ")?;
                }
                write!(f, "{otherwise}")
            }
            ExprKind::Unary(op, count, operand) => {
                let sign = match op {
                    UnaryOp::Minus => "-",
                    UnaryOp::Not => "not ",
                };
                write!(f, "({}{operand})", sign.repeat(*count))
            }
            ExprKind::Chain(first, rest) => {
                write!(f, "({first}")?;
                rest.iter().try_for_each(|(op, operand)| write!(f, " {} {operand}", op.as_str()))?;
                f.write_str(")")
            }
            ExprKind::Pipe(first, steps) => {
                write!(f, "({first}")?;
                for step in steps {
                    f.write_str(" |> ")?;
                    step.repeats.iter().try_for_each(|count| write!(f, "repeat({count}) "))?;
                    write!(f, "{}", step.call)?;
                }
                f.write_str(")")
            }
        }
    }
}

fn list<T: Display>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}
