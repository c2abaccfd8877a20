//! The file system that an instance keeps its data and its WAL on.

/// Bytes of it.
const SIZE: u64 = 1_000_000_000_000;
/// Bytes of data at rest.
const DATA: u64 = 600_000_000_000;

/// One volume.
#[derive(Clone, Debug, Default)]
pub struct Volume {
    /// WAL that waits to be archived or to be read by a slot, in bytes.
    pub held: u64,
    /// Bytes a second of it that nobody takes away.
    pub piles_up: u64,
}

impl Volume {
    /// Share of it that is used, 0 to 1.
    #[allow(clippy::cast_precision_loss, reason = "bytes of a volume")]
    pub fn used(&self) -> f64 {
        (DATA + self.held).min(SIZE) as f64 / SIZE as f64
    }

    /// Whether nothing more can be written: a primary stops then.
    pub const fn is_full(&self) -> bool {
        DATA + self.held >= SIZE
    }

    /// A checkpoint removes what nothing holds any more.
    pub const fn free(&mut self) {
        (self.held, self.piles_up) = (0, 0);
    }

    /// One second.
    pub const fn step(&mut self) {
        self.held = self.held.saturating_add(self.piles_up);
    }
}
