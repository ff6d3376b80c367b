//! What a user sees when snnc itself is at fault: one screen, and what to send along with a report.

use std::io::Write;
use std::sync::Mutex;

/// The sources in use, hashed: it tells whether two reports are about the same input.
static INPUT: Mutex<Option<u64>> = Mutex::new(None);

/// Keeps the hash (FNV-1a) of the sources for a later report.
pub fn remember_input<'a>(texts: impl Iterator<Item = &'a str>) {
    let hash =
        texts.flat_map(|text| text.bytes().chain([0])).fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    if let Ok(mut input) = INPUT.lock() {
        *input = Some(hash);
    }
}

/// The text of an internal error.
pub fn message(what: &str) -> String {
    let input = INPUT.lock().ok().and_then(|input| *input);
    let input = input.map_or("none".to_owned(), |hash| format!("{hash:016x}"));
    let target = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    format!(
        "internal error: {what}\n  \
         This is a bug in snnc, not in your model. Please report it with the model, the command line and:\n  \
         snnc {} on {target}, input {input}",
        env!("CARGO_PKG_VERSION")
    )
}

/// Replaces the report of a panic; the process then ends with 101, as Rust programs do.
pub fn install_hook() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let payload = info.payload();
        let text =
            payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
        let place = info.location().map_or(String::new(), |at| format!(" ({}:{})", at.file(), at.line()));
        let what = format!("{}{place}", text.unwrap_or("a panic without a message"));
        let _ = writeln!(std::io::stderr(), "{}", message(&what));
        // With a backtrace asked for, the usual report follows.
        if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
            default(info);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_tells_what_to_send() {
        remember_input(["a", "b"].into_iter());
        let text = message("index out of bounds (lower.rs:7)");
        assert!(text.starts_with("internal error: index out of bounds (lower.rs:7)\n"), "{text}");
        assert!(
            text.contains(concat!("snnc ", env!("CARGO_PKG_VERSION"))) && text.lines().count() == 3,
            "{text}"
        );
        let hash = text.rsplit(' ').next().map(str::to_owned);
        remember_input(["ab"].into_iter());
        assert_ne!(hash, message("x").rsplit(' ').next().map(str::to_owned), "files are told apart");
    }
}
