//! Functions without an instruction: the exponential step by step (`snnc_kernel::math`), others by calls, lane by lane.

use super::vector::reinterpret;
use super::{Chunk, Emitter};
use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{
    AbiParam, ExtFuncData, ExternalName, InstBuilder, Signature, UserExternalName, Value, types,
};
use cranelift_codegen::isa::CallConv;
use snnc_kernel::math::constants::{BIAS, HIGHEST, LN2, LOWEST, MANTISSA, POWERS, ROUND};

/// The numbers under which the module knows the functions.
#[derive(Clone, Copy)]
pub(crate) struct MathNames {
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

    /// The steps of [`snnc_kernel::math::exp`].
    pub(super) fn exp(&mut self, x: Value, chunk: Chunk) -> Value {
        let x = self.bounded(x, FloatCC::LessThan, LOWEST, chunk);
        let x = self.bounded(x, FloatCC::GreaterThan, HIGHEST, chunk);
        let (log2, round) = (self.number(std::f32::consts::LOG2_E, chunk), self.number(ROUND, chunk));
        let scaled = self.builder.ins().fmul(x, log2);
        let moved = self.builder.ins().fadd(scaled, round);
        let n = self.builder.ins().fsub(moved, round);
        let r = LN2.into_iter().fold(x, |r, part| {
            let part = self.number(part, chunk);
            let product = self.builder.ins().fmul(n, part);
            self.builder.ins().fsub(r, product)
        });
        let highest = self.number(POWERS[0], chunk);
        let p = POWERS[1..].iter().fold(highest, |p, &power| {
            let (product, power) = (self.builder.ins().fmul(p, r), self.number(power, chunk));
            self.builder.ins().fadd(product, power)
        });
        let square = self.builder.ins().fmul(r, r);
        let p = self.builder.ins().fmul(p, square);
        let p = self.builder.ins().fadd(p, r);
        let one = self.number(1.0, chunk);
        let p = self.builder.ins().fadd(p, one);
        let moved = self.builder.ins().bitcast(chunk.pick(types::I32X4, types::I32), reinterpret(), moved);
        let round = self.whole(ROUND.to_bits(), chunk);
        let n = self.builder.ins().isub(moved, round);
        let half = self.builder.ins().sshr_imm_u(n, 1);
        let rest = self.builder.ins().isub(n, half);
        let (half, rest) = (self.power_of_two(half, chunk), self.power_of_two(rest, chunk));
        let p = self.builder.ins().fmul(p, half);
        self.builder.ins().fmul(p, rest)
    }

    /// The limit where `x` compares so with it, else `x`.
    fn bounded(&mut self, x: Value, beyond: FloatCC, limit: f32, chunk: Chunk) -> Value {
        let limit = self.number(limit, chunk);
        let outside = self.builder.ins().fcmp(beyond, x, limit);
        if !chunk.vector {
            return self.builder.ins().select(outside, limit, x);
        }
        let outside = self.builder.ins().bitcast(types::F32X4, reinterpret(), outside);
        self.builder.ins().bitselect(outside, limit, x)
    }

    /// 2 to the power of whole numbers.
    fn power_of_two(&mut self, n: Value, chunk: Chunk) -> Value {
        let bias = self.whole(BIAS as u32, chunk);
        let exponent = self.builder.ins().iadd(n, bias);
        let bits = self.builder.ins().ishl_imm_u(exponent, i64::from(MANTISSA));
        self.builder.ins().bitcast(chunk.pick(types::F32X4, types::F32), reinterpret(), bits)
    }

    fn number(&mut self, value: f32, chunk: Chunk) -> Value {
        let bits = self.whole(value.to_bits(), chunk);
        self.builder.ins().bitcast(chunk.pick(types::F32X4, types::F32), reinterpret(), bits)
    }

    fn whole(&mut self, bits: u32, chunk: Chunk) -> Value {
        if chunk.vector {
            self.constants([bits; 4])
        } else {
            self.builder.ins().iconst(types::I32, i64::from(bits as i32))
        }
    }
}
