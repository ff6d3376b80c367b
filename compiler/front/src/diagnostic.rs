//! The one type of diagnostics and their one renderer.
//!
//! ```text
//! error[shape-mismatch]: `+` needs equal shapes, found [16, 8, 8] and [32, 8, 8]
//!  --> net.snn:7:5
//!   |
//! 5 |     let y = x |> conv(32)
//!   |                  -------- [32, 8, 8] comes from here
//! 7 |     x + y
//!   |         ^ expected [16, 8, 8]
//!   |
//!   = help: …
//! ```

use crate::slug::Slug;
use crate::source::SourceMap;
use crate::span::{FileId, Span};
use annotate_snippets::{AnnotationKind, Element, Group, Level, Renderer, Snippet};
use std::collections::HashSet;

/// How grave a diagnostic is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    /// The model cannot be used.
    Error,
    /// The model can be used, but does probably not say what was meant.
    Warning,
}

/// A place with a few words about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// The words.
    pub text: String,
}

/// What is wrong, where, why, and what to write instead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// Its kind, described in `ERRORS.md`.
    pub slug: Slug,
    /// Its gravity.
    pub severity: Severity,
    /// One sentence without a full stop.
    pub message: String,
    /// Where the fault is; absent for faults of the command line.
    pub primary: Option<Label>,
    /// Where the other facts come from.
    pub secondary: Vec<Label>,
    /// A line that can be followed or typed in.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error without a place.
    pub fn error(slug: Slug, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            slug,
            severity: Severity::Error,
            message: message.into(),
            primary: None,
            secondary: Vec::new(),
            help: None,
        }
    }

    /// A warning without a place.
    pub fn warning(slug: Slug, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(slug, message) }
    }

    /// Says where the fault is.
    pub fn at(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.primary = Some(Label { span, text: text.into() });
        self
    }

    /// Says where another fact comes from.
    pub fn with(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.secondary.push(Label { span, text: text.into() });
        self
    }

    /// Says what to do.
    pub fn help(mut self, text: impl Into<String>) -> Diagnostic {
        self.help = Some(text.into());
        self
    }
}

/// Diagnostics of one run: the same fault at the same place, as a block that is used twice finds it, once.
#[derive(Default, Debug)]
pub(crate) struct Diagnostics {
    list: Vec<Diagnostic>,
    seen: HashSet<(Slug, Option<Span>)>,
}

impl Diagnostics {
    /// Adds a diagnostic unless its place has one of its kind.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if self.seen.insert((diagnostic.slug, diagnostic.primary.as_ref().map(|label| label.span)))
            || diagnostic.primary.is_none()
        {
            self.list.push(diagnostic);
        }
    }

    /// Whether there is an error.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Whether there is one of this kind.
    pub fn has(&self, slug: Slug) -> bool {
        self.list.iter().any(|diagnostic| diagnostic.slug == slug)
    }

    /// All of them in the order of the text; those without a place first.
    pub fn finish(mut self) -> Vec<Diagnostic> {
        self.list.sort_by_key(|diagnostic| diagnostic.primary.as_ref().map(|label| label.span));
        self.list
    }
}

/// Renders diagnostics as text, one after the other, with ANSI colours where `color` says so.
pub fn render(sources: &SourceMap, diagnostics: &[Diagnostic], color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut out = String::new();
    for diagnostic in diagnostics {
        out.push_str(&renderer.render(&[group(sources, diagnostic)]));
        out.push_str("\n\n");
    }
    out
}

fn group<'a>(sources: &'a SourceMap, diagnostic: &'a Diagnostic) -> Group<'a> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(diagnostic.message.as_str()).id(diagnostic.slug.as_str());
    let mut elements: Vec<Element<'a>> =
        files(diagnostic).into_iter().map(|file| snippet(sources, diagnostic, file).into()).collect();
    if let Some(help) = &diagnostic.help {
        elements.push(Level::HELP.message(help.as_str()).into());
    }
    title.elements(elements)
}

/// The files that a diagnostic mentions, that of the primary label first.
fn files(diagnostic: &Diagnostic) -> Vec<FileId> {
    let mut files = Vec::new();
    for label in diagnostic.primary.iter().chain(&diagnostic.secondary) {
        if !files.contains(&label.span.file) {
            files.push(label.span.file);
        }
    }
    files
}

fn snippet<'a>(
    sources: &'a SourceMap,
    diagnostic: &'a Diagnostic,
    file: FileId,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let text = sources.text(file);
    let annotate = |kind: AnnotationKind, label: &'a Label| {
        let annotation = kind.span(inside(text, label.span));
        if label.text.is_empty() { annotation } else { annotation.label(label.text.as_str()) }
    };
    let here = |label: &&Label| label.span.file == file;
    Snippet::source(text)
        .line_start(1)
        .path(sources.name(file))
        .annotations(
            diagnostic.primary.iter().filter(here).map(|label| annotate(AnnotationKind::Primary, label)),
        )
        .annotations(
            diagnostic.secondary.iter().filter(here).map(|label| annotate(AnnotationKind::Context, label)),
        )
}

/// The span's bytes, moved to the borders of characters inside the text: the renderer indexes by them.
fn inside(text: &str, span: Span) -> std::ops::Range<usize> {
    let border = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let (start, end) = (border(span.start as usize), border(span.end as usize));
    start..end.max(start)
}
