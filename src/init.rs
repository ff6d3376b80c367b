//! `snnc init`: fresh weights.

use crate::cli::InitArgs;
use crate::failure::Failure;
use crate::{model, output};
use serde_json::json;
use snnc_compiler::Mode;
use snnc_runtime::{checkpoint, initialise};

/// Makes and writes the weights.
pub fn run(args: &InitArgs, as_json: bool) -> Result<(), Failure> {
    let loaded = model::load(&args.model)?;
    output::writable(&args.output)?;
    let mut session = model::session(&loaded, Mode::Infer, Some(1), 1, 1)?;
    initialise(&mut session, args.seed)?;
    let metadata = json!({"model": loaded.model.name, "seed": args.seed});
    checkpoint::save(&args.output, &session, &[], &metadata)?;
    let (tensors, parameters) = (session.plan().params.len(), session.plan().parameters());
    if as_json {
        return output::json(&json!({
            "output": args.output.to_string_lossy(),
            "tensors": tensors,
            "parameters": parameters,
            "seed": args.seed,
        }));
    }
    output::text(&format!("{parameters} parameters in {tensors} tensors in {}\n", args.output.display()))
}
