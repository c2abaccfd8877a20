//! Names of the simulated customers and their plants. None of them exists.

/// A customer with its own part in scenarios.
pub struct Cast {
    /// Id.
    pub id: &'static str,
    /// Name.
    pub name: &'static str,
    /// Criticality, 1 the most.
    pub criticality: u8,
    /// Plants with their time zones.
    pub plants: &'static [(&'static str, &'static str)],
    /// Cut-offs: what, hour, minute, time zone.
    pub cutoffs: &'static [(&'static str, i8, i8, &'static str)],
}

/// The cast, by id.
pub const CAST: &[Cast] = &[
    Cast { id: "t001", name: "Aldous Ltd", criticality: 3, plants: &[("Leeds", "Europe/London")], cutoffs: &[] },
    Cast { id: "t002", name: "Bright Tools", criticality: 3, plants: &[("Cork", "Europe/Dublin")], cutoffs: &[] },
    Cast {
        id: "t003",
        name: "Nordholz AG",
        criticality: 2,
        plants: &[("Kiel", "Europe/Berlin"), ("Aarhus", "Europe/Copenhagen")],
        cutoffs: &[("carrier pick-up", 7, 15, "Europe/Berlin")],
    },
    Cast {
        id: "t017",
        name: "Brandt GmbH",
        criticality: 1,
        plants: &[("Kassel", "Europe/Berlin"), ("Ulm", "Europe/Berlin"), ("Graz", "Europe/Vienna")],
        cutoffs: &[
            ("receiving starts", 5, 30, "Europe/Berlin"),
            ("shift change", 6, 0, "Europe/Vienna"),
            ("last truck to Graz", 16, 45, "Europe/Vienna"),
        ],
    },
    Cast {
        id: "t044",
        name: "Ferro SpA",
        criticality: 2,
        plants: &[("Brescia", "Europe/Rome"), ("Terni", "Europe/Rome")],
        cutoffs: &[("MRP run", 4, 30, "Europe/Rome")],
    },
    Cast { id: "t051", name: "Atelier Roux", criticality: 3, plants: &[("Lyon", "Europe/Paris")], cutoffs: &[] },
    Cast {
        id: "t090",
        name: "Vega Foods",
        criticality: 2,
        plants: &[("Murcia", "Europe/Madrid")],
        cutoffs: &[("cold-chain loading", 4, 0, "Europe/Madrid")],
    },
];

const FIRST: &[&str] = &[
    "Ostrava", "Linden", "Calder", "Marl", "Vesta", "Kestrel", "Harrow", "Tavira", "Sorel", "Bastion", "Juno", "Larch",
    "Mistral", "Orca", "Pelikan", "Quill", "Rowan", "Senn", "Thorn", "Ursa",
];
const SECOND: &[&str] = &[
    "Metall", "Foods", "Textil", "Optik", "Pumps", "Paper", "Ceramics", "Motors", "Glass", "Pharma", "Timber",
    "Plastics", "Cables",
];
const PLACES: &[(&str, &str)] = &[
    ("Porto", "Europe/Lisbon"),
    ("Gdynia", "Europe/Warsaw"),
    ("Tampere", "Europe/Helsinki"),
    ("Brno", "Europe/Prague"),
    ("Ghent", "Europe/Brussels"),
    ("Malmö", "Europe/Stockholm"),
    ("Zwolle", "Europe/Amsterdam"),
];

/// Name of any other customer.
pub fn name(number: usize) -> String {
    let first = FIRST.get(number % FIRST.len()).copied().unwrap_or_default();
    let second = SECOND.get(number / FIRST.len() % SECOND.len()).copied().unwrap_or_default();
    match number / (FIRST.len() * SECOND.len()) {
        0 => format!("{first} {second}"),
        round => format!("{first} {second} {}", round + 1),
    }
}

/// Plant of any other customer, with its time zone.
pub fn place(number: usize) -> (&'static str, &'static str) {
    PLACES.get(number % PLACES.len()).copied().unwrap_or(("Porto", "Europe/Lisbon"))
}
