//! Passes over the tensor IR and the pipelines that list them.
