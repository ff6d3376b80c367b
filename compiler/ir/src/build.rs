//! Building with inferred types: `graph.emit("stem.conv", Op::Conv2d(conv), &[x, w], None)`.

use crate::entity::Value;
use crate::graph::Graph;
use crate::infer::result_types;
use crate::op::Op;
use crate::types::Type;

impl Graph {
    /// Infers the result types of an operation on values of this graph. Errors as [`result_types`].
    pub fn infer(&self, op: &Op, args: &[Value], hint: Option<&Type>) -> Result<Vec<Type>, String> {
        let types: Vec<&Type> = args.iter().map(|&arg| self.ty(arg)).collect();
        result_types(op, &types, hint)
    }

    /// Appends an instruction of one result, its type inferred; see [`result_types`] for `hint`.
    ///
    /// # Panics
    ///
    /// When the operands do not fit: the front end has checked shapes, so this is a compiler bug.
    pub fn emit(&mut self, name: &str, op: Op, args: &[Value], hint: Option<&Type>) -> Value {
        self.emit_many(&[name], op, args, hint)[0]
    }

    /// Appends an instruction with as many results as `names`, their types inferred.
    ///
    /// # Panics
    ///
    /// As [`Graph::emit`], and when the operation has another number of results.
    pub fn emit_many(&mut self, names: &[&str], op: Op, args: &[Value], hint: Option<&Type>) -> Vec<Value> {
        let types = match self.infer(&op, args, hint) {
            Ok(types) => types,
            Err(message) => panic!("`{}` (%{}) {message}", op.info().mnemonic, names.join(", %")),
        };
        assert_eq!(types.len(), names.len(), "`{}` has {} results", op.info().mnemonic, types.len());
        let results: Vec<(&str, Type)> = names.iter().copied().zip(types).collect();
        self.push_many(op, args, &results)
    }
}
