//! Every sample of the reference follows the grammar, and the grammar refuses what the reference rules out.

use snnc_grammar::{MAX_NESTING, Rule, nesting, parse};

/// The texts between "```snn" and "```".
fn samples() -> Vec<&'static str> {
    let parts = include_str!("../REFERENCE.md").split("```snn\n").skip(1);
    parts.map(|part| part.split("```").next().unwrap_or(part)).collect()
}

#[test]
fn every_sample_parses() {
    assert!(samples().len() >= 7);
    for sample in samples() {
        parse(Rule::file, sample).unwrap_or_else(|error| panic!("{error}\n{sample}"));
    }
}

fn fits(text: &str) -> bool {
    parse(Rule::file, text).is_ok()
}

#[test]
fn words_end_where_they_end() {
    assert!(fits("param letter = 1 param notable = letter"));
    assert!(fits("block b(input, timesteps) { input + timesteps }"));
    assert!(!fits("paramx = 1"));
    assert!(!fits("param x = 3x"));
    assert!(!fits("param let = 1"));
}

#[test]
fn a_line_may_begin_with_a_parenthesis() {
    assert!(fits("block b(x) { let a = x\n (a + x) |> norm }"));
    assert!(!fits("block b(x) { x |> conv (3) }"));
}

#[test]
fn comments_and_blanks_stand_anywhere() {
    assert!(fits("// nothing else"));
    assert!(fits("param // a name follows\r\n\tx = 1 // the end"));
}

#[test]
fn nesting_counts_brackets_of_the_code_only() {
    let deep = |n: usize| format!("param x = {}1{}", "(".repeat(n), ")".repeat(n));
    assert_eq!(nesting(&deep(MAX_NESTING)), None);
    assert!(nesting(&deep(MAX_NESTING + 1)).is_some());
    assert_eq!(nesting(&format!("// {}", "(".repeat(1000))), None);
    assert_eq!(nesting(&format!("include \"{}\"", "(".repeat(1000))), None);
    assert!(fits(&deep(MAX_NESTING)));
}
