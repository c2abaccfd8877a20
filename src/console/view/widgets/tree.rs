//! Branches of a tree that is given as depths in the order of printing.

use crate::console::theme::Glyphs;

/// What stands before each node: trunks of what goes on below, and its own branch.
pub fn branches(depths: &[u16], glyphs: &Glyphs) -> Vec<String> {
    let [branch, last, trunk] = glyphs.tree;
    let goes_on =
        |from: usize, depth: u16| depths.iter().skip(from + 1).take_while(|d| **d >= depth).any(|d| *d == depth);
    depths
        .iter()
        .enumerate()
        .map(|(i, depth)| {
            let mut text = String::new();
            for level in 1..*depth {
                text.push_str(if goes_on(i, level) { trunk } else { "  " });
            }
            if *depth > 0 {
                text.push_str(if goes_on(i, *depth) { branch } else { last });
            }
            text
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::theme::UNICODE;

    #[test]
    fn a_tree_has_its_branches() {
        let drawn = branches(&[0, 1, 2, 2, 1, 0, 1], &UNICODE);
        assert_eq!(drawn, ["", "├─", "│ ├─", "│ └─", "└─", "", "└─"]);
    }
}
