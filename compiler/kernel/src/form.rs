//! What a kernel's walks are, in words: for reports.

use crate::body::{Kernel, Stmt, Walk};

/// `masked add 64x128`: rows of weights that a walk chooses from, and lanes of each; empty for a kernel without walks.
pub fn form(kernel: &Kernel) -> String {
    let mut forms: Vec<String> = Vec::new();
    collect(&kernel.body, &mut forms);
    forms.dedup();
    forms.join(", ")
}

fn collect(stmts: &[Stmt], forms: &mut Vec<String>) {
    let turned = stmts.iter().any(|stmt| matches!(stmt, Stmt::Turn { .. }));
    let size = |walk: &Walk| format!("{}x{}", walk.words * 64, walk.lanes);
    for stmt in stmts {
        match stmt {
            Stmt::AddRows(walk) if turned => forms.push(format!("mirrored add {}", size(walk))),
            Stmt::AddRows(walk) => forms.push(format!("masked add {}", size(walk))),
            Stmt::DotRows(walk, _) => forms.push(format!("sampled dot {}", size(walk))),
            Stmt::For { body, .. } | Stmt::EachBit { body, .. } => collect(body, forms),
            Stmt::If { then, otherwise, .. } => {
                collect(then, forms);
                collect(otherwise, forms);
            }
            Stmt::SetIndex(..)
            | Stmt::SetRow(..)
            | Stmt::SetMask(..)
            | Stmt::SetWord(..)
            | Stmt::Store(..)
            | Stmt::StoreWord(..)
            | Stmt::Turn { .. } => {}
        }
    }
}
