//! See the map.
