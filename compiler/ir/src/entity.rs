//! Typed references to the parts of a graph; `Display` is the text form where one exists.

/// A value: a parameter, an input, or a result of an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Value(pub u32);

/// An instruction of a graph.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Inst(pub u32);

/// The body of a `scan`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Region(pub u32);

impl Value {
    /// The position of this value in the graph's tables.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl Inst {
    /// The position of this instruction in the graph's tables.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl Region {
    /// The position of this region in the graph's tables.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}
