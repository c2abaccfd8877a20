//! Nodes of the cluster, and how many pods run on each.

/// Pods that a node can take.
pub const MOST_PODS: u32 = 110;
/// Pods that a drain moves in a second: evictions wait for the budgets of what they move.
const EVICTED_PER_S: u32 = 4;

/// One node.
#[derive(Clone, Debug)]
pub struct Node {
    /// Name.
    pub name: String,
    /// Whether it takes no new pods.
    pub cordoned: bool,
    /// Whether its kubelet answers.
    pub ready: bool,
    /// Whether its pods are being evicted.
    pub draining: bool,
    /// Pods on it.
    pub pods: u32,
}

/// All nodes.
#[derive(Clone, Debug, Default)]
pub struct Nodes {
    /// In order of their numbers.
    pub all: Vec<Node>,
    next: u32,
}

impl Nodes {
    /// So many nodes with so many pods between them.
    pub fn new(count: u32, pods: u32) -> Self {
        let mut nodes = Self::default();
        for _ in 0..count {
            nodes.add();
        }
        nodes.place(pods);
        nodes
    }

    /// One node more; answers its name.
    pub fn add(&mut self) -> String {
        self.next += 1;
        let name = format!("node-{}", self.next);
        self.all.push(Node { name: name.clone(), cordoned: false, ready: true, draining: false, pods: 0 });
        name
    }

    /// The node of that name.
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.all.iter().find(|n| n.name == name)
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Node> {
        self.all.iter_mut().find(|n| n.name == name)
    }

    /// Pods on nodes that do not answer: they serve nobody.
    pub fn lost(&self) -> u32 {
        self.all.iter().filter(|n| !n.ready).map(|n| n.pods).sum()
    }

    /// Room for so many pods on the emptiest nodes that take them; answers how many found none.
    fn place(&mut self, pods: u32) -> u32 {
        for placed in 0..pods {
            let open = self.all.iter_mut().filter(|n| n.ready && !n.cordoned && n.pods < MOST_PODS);
            match open.min_by_key(|n| n.pods) {
                Some(node) => node.pods += 1,
                None => return pods - placed,
            }
        }
        0
    }

    /// Nodes are added, or those with the highest numbers are taken away and their pods moved.
    pub fn scale(&mut self, count: u32) {
        while u32::try_from(self.all.len()).unwrap_or(u32::MAX) < count {
            self.add();
        }
        let keep = usize::try_from(count).unwrap_or(usize::MAX);
        let moved: u32 = self.all.iter().skip(keep).map(|n| n.pods).sum();
        self.all.truncate(keep);
        self.place(moved);
    }

    /// One second: `pods` run in the whole cluster.
    pub fn step(&mut self, pods: u32) {
        for at in 0..self.all.len() {
            let Some(node) = self.all.get_mut(at).filter(|n| n.draining) else { continue };
            let leaving = node.pods.min(EVICTED_PER_S);
            node.pods -= leaving;
            let back = self.place(leaving);
            if let Some(node) = self.all.get_mut(at) {
                // A budget keeps a pod where there is no room for it elsewhere.
                node.pods += back;
            }
        }
        let there: u32 = self.all.iter().map(|n| n.pods).sum();
        if there < pods {
            self.place(pods - there);
        }
        for _ in pods..there {
            if let Some(fullest) = self.all.iter_mut().max_by_key(|n| n.pods) {
                fullest.pods = fullest.pods.saturating_sub(1);
            }
        }
    }
}
