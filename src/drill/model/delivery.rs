//! How releases reach one tenant: what Git declares, what runs, and what holds deliveries back.

/// Deliveries of one tenant, as Argo CD, Flux and the pipelines see them.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Delivery {
    /// Image that Git declares.
    pub declared: String,
    /// Images that ran before, newest last.
    pub before: Vec<String>,
    /// Whether the application syncs by itself.
    pub auto_sync: bool,
    /// Whether a sync window denies syncs.
    pub denied: bool,
    /// Whether Flux is suspended.
    pub suspended: bool,
    /// Whether pipelines are held.
    pub pipelines_held: bool,
    /// Deliveries that were held back since the hold began.
    pub held: u32,
    /// Images whose release notes say that they changed the schema of the database.
    pub migrated: Vec<String>,
}

impl Delivery {
    /// An application in sync.
    pub fn new(image: &str, before: String) -> Self {
        Self {
            declared: image.into(),
            before: vec![before],
            auto_sync: true,
            denied: false,
            suspended: false,
            pipelines_held: false,
            held: 0,
            migrated: Vec::new(),
        }
    }

    /// Whether nothing is delivered now.
    pub const fn frozen(&self) -> bool {
        self.denied || self.suspended || self.pipelines_held
    }

    /// Whether what runs is what Git declares.
    pub fn synced(&self, image: &str) -> bool {
        self.declared == image
    }
}
