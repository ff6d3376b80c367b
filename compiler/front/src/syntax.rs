//! Faults that the grammar finds, one per item of the file, in words rather than rule names.

use crate::diagnostic::Diagnostic;
use crate::slug::Slug;
use crate::span::{FileId, Span};
use pest::error::{Error, ErrorVariant, InputLocation};
use snnc_grammar::{MAX_NESTING, Rule, nesting};

/// The fault of a file whose brackets nest too deep to parse.
pub(crate) fn too_deep(file: FileId, text: &str) -> Option<Diagnostic> {
    let at = nesting(text)?;
    let message = format!("brackets nest deeper than {MAX_NESTING} levels");
    Some(
        Diagnostic::error(Slug::TooDeep, message)
            .at(Span::new(file, at..at + 1), "one level too many")
            .help("name an inner part with `let`, or move it into a block"),
    )
}

/// The faults of a file that does not parse: the first one, and one for each further item that does not
/// parse by itself. Items are told apart by lines that begin with one of their words.
pub(crate) fn errors(file: FileId, text: &str, first: Error<Rule>) -> Vec<Diagnostic> {
    let chunks = chunks(text);
    let mut found: Vec<Diagnostic> = Vec::new();
    for (start, end) in chunks {
        if let Err(error) = snnc_grammar::parse(Rule::file, &text[start..end]) {
            found.push(describe(file, text, start, &error));
        }
    }
    if found.is_empty() {
        found.push(describe(file, text, 0, &first));
    }
    found
}

/// The words that begin an item.
const ITEMS: [&str; 6] = ["include", "param", "neuron", "block", "network", "train"];

/// The ranges between lines that begin an item.
fn chunks(text: &str) -> Vec<(usize, usize)> {
    let mut starts = vec![0];
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let word = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or("");
        if at > 0 && ITEMS.contains(&word) {
            starts.push(at);
        }
        at += line.len();
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts.iter().copied().zip(ends).collect()
}

fn describe(file: FileId, text: &str, offset: usize, error: &Error<Rule>) -> Diagnostic {
    let at = offset
        + match error.location {
            InputLocation::Pos(at) => at,
            InputLocation::Span((at, _)) => at,
        };
    let expected = match &error.variant {
        ErrorVariant::ParsingError { positives, .. } => list(positives),
        ErrorVariant::CustomError { message } => message.clone(),
    };
    // Where blanks are not allowed the fault lies at the blank; what stands behind it is what the reader sees.
    let at = at + text.get(at..).map_or(0, |rest| rest.len() - rest.trim_start().len());
    let (found, span) = token(file, text, at);
    let message = format!("expected {expected}, found {found}");
    let diagnostic = Diagnostic::error(Slug::Syntax, message).at(span, "does not fit here");
    match hint(text, at) {
        Some(help) => diagnostic.help(help),
        None => diagnostic,
    }
}

/// What stands at a place, in words, and its extent.
fn token(file: FileId, text: &str, at: usize) -> (String, Span) {
    let rest = text.get(at..).unwrap_or("");
    let Some(first) = rest.chars().next() else {
        return ("the end of the file".to_string(), Span::new(file, at..at));
    };
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let length = if word(first) { rest.find(|c| !word(c)).unwrap_or(rest.len()) } else { first.len_utf8() };
    (format!("`{}`", rest[..length].escape_debug()), Span::new(file, at..at + length))
}

/// A remedy for common slips.
fn hint(text: &str, at: usize) -> Option<&'static str> {
    let rest = text.get(at..)?;
    if rest.starts_with(';') {
        return Some("lines need no `;`");
    }
    if rest.starts_with('(') {
        return Some("the `(` of a call follows its name without a blank: `conv(64)`");
    }
    if rest.starts_with('#') {
        return Some("comments begin with `//`");
    }
    let before = text.get(..at)?.trim_end();
    if rest.starts_with('}') && before.ends_with("|>") {
        return Some("a layer, neuron or block follows `|>`");
    }
    None
}

/// What would have fitted: at most four alternatives, each once.
fn list(rules: &[Rule]) -> String {
    let mut words: Vec<&str> = Vec::new();
    for &rule in rules {
        let word = in_words(rule);
        if !words.contains(&word) {
            words.push(word);
        }
    }
    // An operator may stand after every expression: it is news only where nothing else fits.
    if words.len() > 1 {
        words.retain(|word| *word != OPERATOR);
    }
    // The words that begin an item always stand together.
    if words.contains(&"`param`") {
        words.retain(|word| !ITEMS.contains(&word.trim_matches('`')));
        words.push("an item such as `param` or `network`");
    }
    words.truncate(4);
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        Some((last, _)) => last.to_string(),
        None => "something else".to_string(),
    }
}

const OPERATOR: &str = "an operator";

/// Whether a rule is a word of the language, which the syntax tree does not keep.
pub(crate) fn is_word(rule: Rule) -> bool {
    in_words(rule).starts_with('`') || matches!(rule, Rule::kw_and | Rule::kw_or | Rule::kw_not)
}

/// A rule in words.
fn in_words(rule: Rule) -> &'static str {
    match rule {
        Rule::EOI => "the end of the file",
        Rule::file | Rule::item => "an item (`param`, `neuron`, `block`, `network`, `train`, `include`)",
        Rule::include => "an include",
        Rule::param => "a parameter",
        Rule::neuron => "a neuron",
        Rule::block => "a block",
        Rule::formal => "an argument's name",
        Rule::body => "a body in braces",
        Rule::binding => "a binding",
        Rule::network => "a network",
        Rule::timesteps => "the timesteps",
        Rule::input => "an input",
        Rule::require => "a requirement",
        Rule::encoder => "an encoder",
        Rule::train => "a train block",
        Rule::field => "a field",
        Rule::expr
        | Rule::disjunction
        | Rule::conjunction
        | Rule::inversion
        | Rule::comparison
        | Rule::sum
        | Rule::product
        | Rule::negation
        | Rule::member
        | Rule::primary
        | Rule::conditional
        | Rule::boolean
        | Rule::minus => "an expression",
        Rule::step => "a layer, neuron or block",
        Rule::repeat => "a repeat",
        Rule::call => "a call",
        Rule::arguments | Rule::argument => "an argument",
        Rule::compare_op | Rule::sum_op | Rule::product_op => OPERATOR,
        Rule::number | Rule::digits => "a number",
        Rule::text => "text in quotes",
        Rule::name | Rule::name_char | Rule::reserved => "a name",
        Rule::kw_include => "`include`",
        Rule::kw_param => "`param`",
        Rule::kw_neuron => "`neuron`",
        Rule::kw_block => "`block`",
        Rule::kw_network => "`network`",
        Rule::kw_train => "`train`",
        Rule::kw_timesteps => "`timesteps`",
        Rule::kw_input => "`input`",
        Rule::kw_require => "`require`",
        Rule::kw_let => "`let`",
        Rule::kw_if => "`if`",
        Rule::kw_else => "`else`",
        Rule::kw_repeat => "`repeat`",
        Rule::kw_and | Rule::kw_or | Rule::kw_not => OPERATOR,
        Rule::WHITESPACE | Rule::COMMENT => "a blank",
    }
}
