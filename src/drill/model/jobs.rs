//! The job channels of one tenant: arrivals, workers that take the oldest first, and jobs that nobody works on
//! any more.

use std::collections::VecDeque;

/// Seconds after which a started job counts as a zombie: Odoo's default `limit_time_real`.
pub const ZOMBIE_AFTER_S: i64 = 120;
/// Seconds that one job keeps a worker busy.
const JOB_S: f64 = 2.0;
/// Seconds of one bucket of finished jobs; sixty of them are the ten minutes that the observer counts.
const BUCKET_S: i64 = 10;

/// Jobs that became due in one tick.
#[derive(Clone, Copy, Debug)]
struct Due {
    tick: i64,
    count: u32,
}

/// One channel.
#[derive(Clone, Debug)]
pub struct Channel {
    /// Full name.
    pub name: String,
    /// Share of the tenant's jobs.
    share: f64,
    waiting: VecDeque<Due>,
    /// Started jobs whose worker hangs or is gone: tick of start and tick at which they were due.
    lost: Vec<(i64, i64)>,
    /// Finished jobs by bucket, newest last.
    done: VecDeque<u32>,
    /// Failed jobs.
    pub failed: u32,
    arriving: f64,
    running: u32,
    /// Jobs of it that may run at the same time; none set is no bound.
    pub capacity: Option<u32>,
    /// Priority of its jobs; the lower, the earlier.
    pub priority: u32,
    /// Whether the system that its jobs call does not answer: each attempt fails.
    pub endpoint_down: bool,
    /// Whether the breaker is open: nothing of it is tried.
    pub open: bool,
    /// Jobs set aside until they are replayed, with the ticks at which they were due.
    aside: Vec<i64>,
}

/// Priority of a job where nobody says otherwise, as in `queue_job`.
pub const PRIORITY: u32 = 10;

impl Channel {
    fn new(name: &str, share: f64) -> Self {
        let (waiting, lost, done) = (VecDeque::new(), Vec::new(), VecDeque::from([0]));
        Self {
            name: name.into(),
            share,
            waiting,
            lost,
            done,
            failed: 0,
            arriving: 0.0,
            running: 0,
            capacity: None,
            priority: PRIORITY,
            endpoint_down: false,
            open: false,
            aside: Vec::new(),
        }
    }

    /// Jobs set aside.
    pub fn buffered(&self) -> u32 {
        u32::try_from(self.aside.len()).unwrap_or(u32::MAX)
    }

    /// Sets everything aside that waits, so that it is not tried; answers how many jobs that were.
    pub fn buffer(&mut self) -> u32 {
        let before = self.aside.len();
        while let Some(due) = self.pop() {
            self.aside.push(due);
        }
        u32::try_from(self.aside.len() - before).unwrap_or(u32::MAX)
    }

    /// Puts everything back that was set aside, and what failed meanwhile; answers how many jobs that were.
    pub fn replay(&mut self, tick: i64) -> u32 {
        let aside = std::mem::take(&mut self.aside);
        let failed = std::mem::take(&mut self.failed);
        let count = u32::try_from(aside.len()).unwrap_or(u32::MAX).saturating_add(failed);
        for due in aside {
            self.push(Due { tick: due, count: 1 });
        }
        if failed > 0 {
            self.push(Due { tick, count: failed });
        }
        count
    }

    /// Whether its jobs may be taken now.
    fn takes(&self) -> bool {
        !self.open && self.capacity != Some(0) && !self.waiting.is_empty()
    }

    /// Jobs that wait for a worker.
    pub fn depth(&self) -> u32 {
        self.waiting.iter().map(|d| d.count).sum()
    }

    /// Tick at which the oldest waiting job was due.
    pub fn oldest(&self) -> Option<i64> {
        self.waiting.front().map(|d| d.tick)
    }

    /// Jobs done in the last ten minutes.
    pub fn done_10m(&self) -> u32 {
        self.done.iter().sum()
    }

    /// Jobs in state started, beside those that wait for a lock.
    pub fn started(&self) -> u32 {
        self.running.saturating_add(u32::try_from(self.lost.len()).unwrap_or(u32::MAX))
    }

    /// Jobs that nobody works on, beyond the limit at a tick.
    pub fn zombies(&self, tick: i64) -> u32 {
        let beyond = self.lost.iter().filter(|(started, _)| tick - started > ZOMBIE_AFTER_S).count();
        u32::try_from(beyond).unwrap_or(u32::MAX)
    }

    fn arrive(&mut self, tick: i64, jobs: f64) {
        self.arriving += jobs.max(0.0) * self.share;
        let whole = self.arriving.floor();
        self.arriving -= whole;
        let count = whole_number(whole);
        if count > 0 {
            self.push(Due { tick, count });
        }
    }

    /// Keeps the oldest first.
    fn push(&mut self, due: Due) {
        let at = self.waiting.partition_point(|d| d.tick <= due.tick);
        self.waiting.insert(at, due);
    }

    /// Takes one waiting job, the oldest.
    fn pop(&mut self) -> Option<i64> {
        let front = self.waiting.front_mut()?;
        front.count -= 1;
        let tick = front.tick;
        if front.count == 0 {
            self.waiting.pop_front();
        }
        Some(tick)
    }

    fn finish(&mut self, jobs: u32) {
        if let Some(newest) = self.done.back_mut() {
            *newest = newest.saturating_add(jobs);
        }
    }
}

/// All channels of a tenant.
#[derive(Clone, Debug)]
pub struct Jobs {
    /// By name.
    pub channels: Vec<Channel>,
    /// Part of a job that has been worked on.
    work: f64,
}

impl Default for Jobs {
    /// The channels that every tenant has, without a job.
    fn default() -> Self {
        Self { channels: vec![Channel::new("root", 0.6), Channel::new("root.wms", 0.4)], work: 0.0 }
    }
}

impl Jobs {
    /// Jobs that wait in all channels.
    pub fn depth(&self) -> u32 {
        self.channels.iter().map(Channel::depth).sum()
    }

    /// Zombies in all channels, of one or of all.
    pub fn zombies(&self, channel: &str, tick: i64) -> u32 {
        self.channels.iter().filter(|c| channel.is_empty() || c.name == channel).map(|c| c.zombies(tick)).sum()
    }

    /// One second: so many jobs arrive, and so many workers are free to work.
    pub fn step(&mut self, tick: i64, arriving: f64, free_workers: f64) {
        for channel in &mut self.channels {
            if tick % BUCKET_S == 0 {
                channel.done.push_back(0);
                if channel.done.len() > 60 {
                    channel.done.pop_front();
                }
            }
            channel.arrive(tick, arriving);
        }
        self.work += free_workers.max(0.0) / JOB_S;
        let mut taken = vec![0_u32; self.channels.len()];
        while self.work >= 1.0 {
            self.work -= 1.0;
            let Some(at) = self.next_channel(&taken) else {
                // Nothing to do: time that nobody worked is not saved up.
                self.work = 0.0;
                break;
            };
            let (Some(channel), Some(count)) = (self.channels.get_mut(at), taken.get_mut(at)) else { break };
            *count += 1;
            if channel.pop().is_none() {
                continue;
            }
            if channel.endpoint_down {
                channel.failed = channel.failed.saturating_add(1);
                // Waiting for an answer that does not come holds the worker for longer than the work does.
                self.work -= 2.0;
            } else {
                channel.finish(1);
            }
        }
        let busy = free_workers.max(0.0).min(arriving.max(0.0) * JOB_S + f64::from(self.depth()));
        for channel in &mut self.channels {
            channel.running = whole_number((busy * channel.share).round());
        }
    }

    /// The channel whose job is next: the most urgent, of these the oldest, that its capacity still lets run.
    fn next_channel(&self, taken: &[u32]) -> Option<usize> {
        // A slot of a channel is free again after one job.
        let bound = |c: &Channel| c.capacity.map(|n| (f64::from(n) / JOB_S).ceil());
        let free = |(at, c): &(usize, &Channel)| {
            c.takes() && bound(c).is_none_or(|n| f64::from(taken.get(*at).copied().unwrap_or(0)) < n)
        };
        let open = self.channels.iter().enumerate().filter(free);
        open.min_by_key(|(_, c)| (c.priority, c.oldest())).map(|(at, _)| at)
    }

    /// The channel of that name.
    pub fn channel(&self, name: &str) -> Option<&Channel> {
        self.channels.iter().find(|c| c.name == name)
    }

    /// The same, to change it.
    pub fn channel_mut(&mut self, name: &str) -> Option<&mut Channel> {
        self.channels.iter_mut().find(|c| c.name == name)
    }

    fn oldest_channel(&mut self) -> Option<&mut Channel> {
        self.channels.iter_mut().filter(|c| !c.waiting.is_empty()).min_by_key(|c| c.oldest())
    }

    /// So many workers take a job each and never come back with it.
    pub fn lose(&mut self, tick: i64, workers: u32) {
        for _ in 0..workers {
            let Some(channel) = self.oldest_channel() else { break };
            if let Some(due) = channel.pop() {
                channel.lost.push((tick, due));
            }
        }
    }

    /// Jobs that waited for a lock since some tick lost their worker.
    pub fn lose_started(&mut self, tick: i64, jobs: u32) {
        if let Some(first) = self.channels.first_mut() {
            first.lost.extend((0..jobs).map(|_| (tick, tick)));
        }
    }

    /// Jobs that have become due one after another between two ticks wait in the first channel.
    pub fn wait_since(&mut self, from: i64, to: i64, jobs: u32) {
        let Some(first) = self.channels.first_mut() else { return };
        let (all, span) = (i64::from(jobs.max(1)), (to - from).max(0));
        for job in 0..i64::from(jobs) {
            first.push(Due { tick: from + span * job / all, count: 1 });
        }
    }

    /// Jobs that had started finish.
    pub fn finish(&mut self, jobs: u32) {
        if let Some(first) = self.channels.first_mut() {
            first.finish(jobs);
        }
    }

    /// Zombies of one channel, or of all, wait again with the moment at which they were due; answers how
    /// many. Hanging workers take nothing, so they stay there until somebody restarts these.
    pub fn requeue(&mut self, channel: &str, tick: i64) -> u32 {
        let mut count = 0;
        for channel in self.channels.iter_mut().filter(|c| channel.is_empty() || c.name == channel) {
            let (dead, alive): (Vec<_>, Vec<_>) =
                channel.lost.iter().partition(|(started, _)| tick - started > ZOMBIE_AFTER_S);
            channel.lost = alive;
            for (_, due) in dead {
                channel.push(Due { tick: due, count: 1 });
                count += 1;
            }
        }
        count
    }
}

/// A count from a number that is whole and not negative.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range of u32 before")]
pub fn whole_number(value: f64) -> u32 {
    if value.is_nan() { 0 } else { value.clamp(0.0, f64::from(u32::MAX)) as u32 }
}
