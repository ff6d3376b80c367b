//! From the text of a model to a checked model and its tensor IR.
