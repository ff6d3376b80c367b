//! Functions without an instruction: calls, lane by lane.

use super::{Chunk, Emitter};
use cranelift_codegen::ir::{
    AbiParam, ExtFuncData, ExternalName, InstBuilder, Signature, UserExternalName, Value, types,
};
use cranelift_codegen::isa::CallConv;

/// The numbers under which the module knows the functions.
#[derive(Clone, Copy)]
pub(crate) struct MathNames {
    /// `f32::exp`.
    pub(crate) exp: u32,
    /// `f32::ln`.
    pub(crate) ln: u32,
}

/// The signature of a function of one f32.
pub(crate) fn signature(convention: CallConv) -> Signature {
    let mut signature = Signature::new(convention);
    signature.params.push(AbiParam::new(types::F32));
    signature.returns.push(AbiParam::new(types::F32));
    signature
}

impl Emitter<'_, '_> {
    /// The function of each lane.
    pub(super) fn call(&mut self, function: u32, value: Value, chunk: Chunk) -> Value {
        let signature = signature(self.builder.func.signature.call_conv);
        let signature = self.builder.import_signature(signature);
        let name = UserExternalName { namespace: 0, index: function };
        let name = ExternalName::user(self.builder.func.declare_imported_user_function(name));
        let data = ExtFuncData { name, signature, colocated: false, patchable: false };
        let function = self.builder.import_function(data);
        let call = |e: &mut Self, lane: Value| {
            let call = e.builder.ins().call(function, &[lane]);
            e.builder.inst_results(call)[0]
        };
        if !chunk.vector {
            return call(self, value);
        }
        (0..4u8).fold(value, |result, lane| {
            let argument = self.builder.ins().extractlane(value, lane);
            let answer = call(self, argument);
            self.builder.ins().insertlane(result, answer, lane)
        })
    }
}
