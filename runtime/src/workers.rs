//! The threads of a session and the memory that each has for itself.

use crate::Error;
use crate::arena::{Arena, Span};
use rayon::{ThreadPool, ThreadPoolBuilder};
use snnc_plan::ALIGN;
use std::sync::{Mutex, MutexGuard};

/// A pool whose threads own scratch memory.
pub struct Workers {
    pool: ThreadPool,
    scratch: Vec<Mutex<Arena>>,
    bytes: usize,
}

/// The number of threads that 0 stands for: all that the process may use.
pub fn threads_or_all(threads: usize) -> usize {
    match threads {
        0 => std::thread::available_parallelism().map_or(1, |n| n.get()),
        n => n,
    }
}

impl Workers {
    /// `threads` threads with `bytes` of scratch memory each.
    pub fn new(threads: usize, bytes: usize) -> Result<Workers, Error> {
        let bytes = bytes.checked_next_multiple_of(ALIGN);
        let bytes = bytes.ok_or_else(|| Error::Internal("scratch memory overflows".to_string()))?;
        let pool = ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(|e| Error::User(format!("cannot start {threads} threads: {e}")))?;
        let scratch = (0..threads).map(|_| Arena::new(bytes).map(Mutex::new)).collect::<Result<_, _>>()?;
        Ok(Workers { pool, scratch, bytes })
    }

    /// Runs `work` on the pool; parallel iterators inside it use the pool's threads.
    pub fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.pool.install(work)
    }

    /// Threads.
    pub fn count(&self) -> usize {
        self.scratch.len()
    }

    /// The scratch memory of the calling thread of the pool. No task waits for another while it holds it, so the
    /// lock is always free.
    pub fn scratch(&self) -> Scratch<'_> {
        let mine = rayon::current_thread_index().unwrap_or(0) % self.scratch.len();
        let arena = self.scratch[mine].lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        Scratch { arena, bytes: self.bytes }
    }
}

/// A thread's scratch memory, held.
pub struct Scratch<'a> {
    arena: MutexGuard<'a, Arena>,
    bytes: usize,
}

impl Scratch<'_> {
    fn span(&self) -> Span {
        Span { offset: 0, bytes: self.bytes }
    }

    /// As real numbers.
    pub fn floats(&mut self) -> Result<&mut [f32], Error> {
        let span = self.span();
        self.arena.f32_mut(span)
    }

    /// As an address, for machine code.
    pub fn pointer(&mut self) -> Result<*mut u8, Error> {
        let span = self.span();
        self.arena.pointer(span)
    }
}
