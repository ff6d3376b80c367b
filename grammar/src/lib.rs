//! The grammar of the snnc language: text to pest pairs, nothing else.
