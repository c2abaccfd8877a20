//! A Deployment whose pods are replaced one after another.

/// Seconds that one pod takes from its start until it is ready.
const POD_S: i64 = 6;

/// One Deployment.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// Name.
    pub name: &'static str,
    /// `metadata.uid`.
    pub uid: String,
    /// Pods asked for.
    pub desired: u32,
    /// Image.
    pub image: String,
    /// The image before it, where another one ran since the beginning.
    pub image_before: Option<String>,
    /// Tick at which the image was set; before the beginning it is negative.
    pub image_since: i64,
    /// Revision, which is also the generation: nothing but a new template changes the spec here.
    pub revision: u32,
    /// Tick of the last restart that was asked for.
    pub restarted_at: Option<i64>,
    /// Tick at which pods began to be replaced.
    rollout: Option<i64>,
    /// Pods that can not start.
    pub crash_looping: u32,
    /// Pods at rest.
    pub usual: u32,
    /// Bounds between which the autoscaler keeps the pods.
    pub autoscaler: Autoscaler,
    /// Whether rollouts wait.
    pub paused: bool,
    /// Containers killed for want of memory.
    pub oom_killed: u32,
}

/// A `HorizontalPodAutoscaler`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Autoscaler {
    /// `minReplicas`.
    pub least: u32,
    /// `maxReplicas`.
    pub most: u32,
}

impl Deployment {
    /// A Deployment at rest.
    pub fn new(name: &'static str, uid: String, desired: u32, image: &str, image_since: i64) -> Self {
        Self {
            name,
            uid,
            desired,
            image: image.into(),
            image_before: None,
            image_since,
            revision: 117,
            restarted_at: None,
            rollout: None,
            crash_looping: 0,
            usual: desired,
            autoscaler: Autoscaler { least: desired, most: desired },
            paused: false,
            oom_killed: 0,
        }
    }

    /// Pods of the newest template.
    pub fn updated(&self, tick: i64) -> u32 {
        if self.paused && self.rollout.is_some() {
            return 0;
        }
        let done = self.rollout.map_or(i64::MAX, |since| (tick - since).max(0) / POD_S);
        u32::try_from(done).unwrap_or(u32::MAX).min(self.desired)
    }

    /// Pods ready: while pods are replaced one is missing.
    pub fn ready(&self, tick: i64) -> u32 {
        let replacing = u32::from(self.updated(tick) < self.desired);
        self.desired.saturating_sub(replacing).saturating_sub(self.crash_looping)
    }

    /// Share of pods that are new and ready, 0 to 1.
    pub fn fresh_share(&self, tick: i64) -> f64 {
        if self.desired == 0 { 0.0 } else { f64::from(self.updated(tick)) / f64::from(self.desired) }
    }

    /// Whether pods are being replaced.
    pub fn rolling(&self, tick: i64) -> bool {
        self.updated(tick) < self.desired
    }

    /// Another number of pods; a spec that changes counts a generation.
    pub fn scale(&mut self, pods: u32) {
        if self.desired != pods {
            self.desired = pods;
            self.revision += 1;
        }
    }

    /// The autoscaler follows a demand, as a multiple of the usual, within its bounds. Bounds that leave no room are
    /// none: then people scale.
    pub fn autoscale(&mut self, demand: f64, tick: i64) {
        let Autoscaler { least, most } = self.autoscaler;
        if tick % 15 != 0 || least >= most {
            return;
        }
        let wanted = super::jobs::whole_number((f64::from(self.usual) * demand).ceil());
        let aim = wanted.clamp(least, most);
        let next = if aim > self.desired { self.desired + 1 } else { self.desired - u32::from(aim < self.desired) };
        self.scale(next);
    }

    /// Rollouts wait, or go on from now.
    pub fn pause(&mut self, paused: bool, tick: i64) {
        self.paused = paused;
        if self.rollout.is_some() && !paused {
            self.rollout = Some(tick);
        }
    }

    /// One pod is replaced; the template stays.
    pub fn replace_one(&mut self, tick: i64) {
        if self.rollout.is_none() {
            self.rollout = Some(tick - POD_S * (i64::from(self.desired) - 1).max(0));
        }
        self.crash_looping = self.crash_looping.saturating_sub(1);
    }

    /// A new image.
    pub fn deploy(&mut self, image: &str, tick: i64) {
        if self.image != image {
            // What kept the pods from starting was in the image.
            self.crash_looping = 0;
            self.image_before = Some(std::mem::replace(&mut self.image, image.into()));
        }
        self.image_since = tick;
        self.roll(tick);
    }

    /// The same image, new pods.
    pub fn restart(&mut self, tick: i64) {
        self.restarted_at = Some(tick);
        self.roll(tick);
    }

    fn roll(&mut self, tick: i64) {
        self.rollout = Some(tick);
        self.revision += 1;
    }

    /// One second; answers whether the last pod has just been replaced.
    pub fn step(&mut self, tick: i64) -> bool {
        let ended = self.rollout.is_some() && !self.rolling(tick);
        if ended {
            self.rollout = None;
        }
        ended
    }
}
