//! Backups of one PostgreSQL instance, and what was restored beside it.

/// Seconds that a backup takes.
const BACKUP_S: i64 = 40;
/// Seconds that restoring aside takes.
const RESTORE_S: i64 = 60;

/// A copy that was restored beside the instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aside {
    /// Its name.
    pub name: String,
    /// Tick of the moment that it was restored to.
    pub to: i64,
    /// Tick at which it can be read.
    pub ready: i64,
}

/// Backups of an instance.
#[derive(Clone, Debug)]
pub struct Backups {
    /// Label of the newest full backup.
    pub label: String,
    /// Tick at which it ended.
    pub ended: i64,
    /// Why backups fail, where they do.
    pub failing: Option<String>,
    /// Tick at which the one under way ends.
    pub running: Option<i64>,
    /// Tick at which a restore was last tried with success.
    pub restore_tested: Option<i64>,
    /// Named restore points, newest last, with their ticks.
    pub restore_points: Vec<(String, i64)>,
    /// WAL segments archived since the beginning.
    pub archived: u64,
    /// Tick at which the newest of them was archived.
    pub archived_at: i64,
    /// What was restored beside it, oldest first.
    pub asides: Vec<Aside>,
    count: u32,
}

impl Backups {
    /// A good backup some hours ago.
    pub fn new(ended: i64) -> Self {
        Self {
            label: "20261119-230000F".into(),
            ended,
            failing: None,
            running: None,
            restore_tested: None,
            restore_points: Vec::new(),
            archived: 4_711,
            archived_at: 0,
            asides: Vec::new(),
            count: 0,
        }
    }

    /// A WAL segment reaches the repository.
    pub const fn archive(&mut self, tick: i64) {
        self.archived += 1;
        self.archived_at = tick;
    }

    /// A backup begins; false where one is under way.
    pub fn begin(&mut self, tick: i64) -> bool {
        let free = self.running.is_none();
        if free {
            self.running = Some(tick + BACKUP_S);
        }
        free
    }

    /// One second.
    pub fn step(&mut self, tick: i64) {
        if tick % 60 == 0 && self.failing.is_none() {
            self.archive(tick);
        }
        if self.running.is_some_and(|end| tick >= end) {
            self.running = None;
            if self.failing.is_none() {
                self.taken(tick);
            }
        }
        if self.asides.iter().any(|a| a.ready == tick) {
            self.restore_tested = Some(tick);
        }
    }

    /// A backup is complete.
    pub fn taken(&mut self, tick: i64) {
        self.count += 1;
        (self.label, self.ended) = (format!("drill-{:03}F", self.count), tick);
    }

    /// A copy as of a tick is there.
    pub fn restored(&mut self, name: &str, to: i64, tick: i64) {
        self.restore(name, to, tick - RESTORE_S);
        self.restore_tested = Some(tick);
    }

    /// A copy as of a tick begins to be restored.
    pub fn restore(&mut self, name: &str, to: i64, tick: i64) {
        self.asides.retain(|a| a.name != name);
        self.asides.push(Aside { name: name.into(), to, ready: tick + RESTORE_S });
    }

    /// The copy of that name.
    pub fn aside(&self, name: &str) -> Option<&Aside> {
        self.asides.iter().find(|a| a.name == name)
    }
}
