//! Themes: that they read, fit, and can be read on.

use super::*;

const MONO: &str = include_str!("../../../themes/mono.toml");
const FULL: Capabilities = Capabilities { colors: ColorDepth::True, unicode: true };

#[test]
fn every_built_in_theme_reads_and_fits_every_terminal() {
    for (name, _) in BUILT_IN {
        for colors in [ColorDepth::None, ColorDepth::Ansi16, ColorDepth::Ansi256, ColorDepth::True] {
            let theme = Theme::choose(Some(name), &[], Capabilities { colors, unicode: true }).unwrap();
            let all: Vec<Color> =
                Role::ALL.iter().flat_map(|r| [theme.style(*r).fg, theme.style(*r).bg]).flatten().collect();
            let allowed = |c: &Color| match colors {
                ColorDepth::None => false,
                ColorDepth::Ansi16 => !matches!(c, Color::Rgb(..) | Color::Indexed(_)),
                ColorDepth::Ansi256 => !matches!(c, Color::Rgb(..)),
                ColorDepth::True => true,
            };
            assert!(all.iter().all(allowed), "{name} at {colors:?}: {all:?}");
        }
    }
}

#[test]
fn the_terminal_decides_when_no_theme_is_named() {
    let name = |colors| Theme::choose(None, &[], Capabilities { colors, unicode: true }).unwrap().name;
    assert_eq!(name(ColorDepth::None), "mono");
    assert_eq!(name(ColorDepth::Ansi16), "ansi16");
    assert_eq!(name(ColorDepth::True), "dark");
}

#[test]
fn bad_themes_get_a_sentence_with_the_place() {
    let e = Theme::parse("x", "[roles]\ntext = { fgg = \"red\" }\n").unwrap_err();
    assert!(matches!(&e, ThemeError::Text { line: 2, .. }), "{e}");
    assert!(e.to_string().contains("fgg"), "{e}");
    let e = Theme::choose(Some("none"), &[], FULL).unwrap_err();
    assert_eq!(
        e.to_string(),
        "no theme is named `none`; there are amber, ansi16, colorblind, contrast, contrast-light, dark, light, mono, nvg"
    );
    let bad = MONO.replacen("[roles.text]", "[roles.text]\nfg = \"reddish\"", 1);
    let e = Theme::parse("x", &bad).unwrap_err();
    assert!(e.to_string().contains("`reddish` is no colour"), "{e}");
    let e = Theme::parse("x", "[roles.text]\n").unwrap_err();
    assert!(e.to_string().contains("no look is given for dim"), "{e}");
}

#[test]
fn an_own_theme_replaces_a_built_in_one() {
    let own = MONO.to_owned() + "\n";
    let theme = Theme::choose(Some("dark"), &[("dark".into(), own)], FULL).unwrap();
    assert_eq!(theme.style(Role::Ok).fg, None);
}

/// Red, green and blue of a colour that has them of its own; the sixteen named ones are the terminal's.
fn rgb(color: Color) -> Option<[u8; 3]> {
    match color {
        Color::Rgb(r, g, b) => Some([r, g, b]),
        Color::Indexed(i) if i >= 16 => {
            let (r, g, b) = depth::uncube(i);
            Some([r, g, b])
        }
        _ => None,
    }
}

/// Linear light of each channel (WCAG 2.2, "relative luminance").
fn linear(color: [u8; 3]) -> [f64; 3] {
    color.map(|v| {
        let v = f64::from(v) / 255.0;
        if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
    })
}

fn luminance(color: [u8; 3]) -> f64 {
    let [r, g, b] = linear(color);
    0.2126 * r + 0.7152 * g + 0.0722 * b
}

/// Contrast of two colours (WCAG 2.2, "contrast ratio").
fn contrast(a: [u8; 3], b: [u8; 3]) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// What a terminal writes with where a theme leaves the text to it: a light grey on dark, as most do.
const GREY: [u8; 3] = [0xd0, 0xd0, 0xd0];

/// Themes with colours of their own, and the least contrast of each.
fn with_colors() -> impl Iterator<Item = (Theme, f64)> {
    let of = |(name, text): (&str, &str)| {
        (Theme::parse(name, text).unwrap(), if name.starts_with("contrast") { 7.0 } else { 4.5 })
    };
    BUILT_IN.into_iter().map(of).filter(|(theme, _)| theme.background().is_some())
}

#[test]
fn every_text_of_every_theme_can_be_read_also_with_256_colours() {
    let mut seen = 0;
    for (theme, least) in with_colors() {
        for colors in [ColorDepth::True, ColorDepth::Ansi256] {
            let theme = theme.clone().fitted(Capabilities { colors, unicode: true });
            let ground = rgb(theme.background().unwrap()).unwrap();
            // The nearest of 256 colours is not always near.
            let least = if colors == ColorDepth::True { least } else { 4.5 };
            for role in Role::ALL {
                let style = theme.style(role);
                let (fg, bg) = (style.fg.map_or(Some(GREY), rgb).unwrap(), style.bg.map_or(Some(ground), rgb).unwrap());
                let least = match role {
                    // Lines between panes carry nothing; a chart is no text (WCAG 2.2, 1.4.11).
                    Role::Rule => 1.2,
                    Role::Chart => 3.0,
                    _ => least,
                };
                let found = contrast(fg, bg);
                assert!(found >= least, "{} {role:?} at {colors:?}: {found:.2}, at least {least}", theme.name);
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 7 * 2 * Role::ALL.len());
}

/// Lightness and the two opponent axes of a colour as seen (CIE 1976 L*a*b*, D65).
fn lab([r, g, b]: [f64; 3]) -> [f64; 3] {
    let xyz = [
        (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.95047,
        0.2126 * r + 0.7152 * g + 0.0722 * b,
        (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.08883,
    ];
    let [x, y, z] = xyz.map(|t: f64| if t > 0.008_856 { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 });
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

#[test]
fn the_states_stay_apart_for_eyes_that_see_fewer_colours() {
    // Machado, Oliveira and Fernandes 2009, severity 1.0, on linear light.
    const EYES: [(&str, [[f64; 3]; 3]); 4] = [
        ("all cones", [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
        (
            "protanopia",
            [
                [0.152_286, 1.052_583, -0.204_868],
                [0.114_503, 0.786_281, 0.099_216],
                [-0.003_882, -0.048_116, 1.051_998],
            ],
        ),
        (
            "deuteranopia",
            [[0.367_322, 0.860_646, -0.227_968], [0.280_085, 0.672_501, 0.047_413], [-0.011_820, 0.042_940, 0.968_881]],
        ),
        (
            "tritanopia",
            [
                [1.255_528, -0.076_749, -0.178_779],
                [-0.078_411, 0.930_809, 0.147_602],
                [0.004_733, 0.691_367, 0.303_900],
            ],
        ),
    ];
    let theme = Theme::choose(Some("colorblind"), &[], FULL).unwrap();
    let states = [Role::Ok, Role::Warn, Role::Critical, Role::Unknown];
    for (eyes, matrix) in EYES {
        let seen = states.map(|role| {
            let light = linear(rgb(theme.style(role).fg.unwrap()).unwrap());
            lab(matrix.map(|row| row.iter().zip(light).map(|(m, v)| m * v).sum::<f64>().clamp(0.0, 1.0)))
        });
        for (i, a) in seen.iter().enumerate() {
            for (j, b) in seen.iter().enumerate().skip(i + 1) {
                let apart = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
                assert!(apart > 20.0, "{:?} and {:?} with {eyes}: {apart:.1}", states[i], states[j]);
            }
        }
    }
}

#[test]
fn behind_goggles_nothing_is_red() {
    let theme = Theme::choose(Some("nvg"), &[], FULL).unwrap();
    for role in Role::ALL {
        let style = theme.style(role);
        for color in [style.fg, style.bg].into_iter().flatten() {
            assert_eq!(rgb(color).unwrap()[0], 0, "{role:?}");
        }
    }
}

#[test]
fn a_painted_theme_leaves_nothing_to_the_terminal() {
    let painted = BUILT_IN.iter().filter(|(_, text)| text.contains("painted = true"));
    let mut seen = 0;
    for (name, text) in painted {
        let theme = Theme::parse(name, text).unwrap();
        assert!(Role::ALL.iter().all(|r| theme.style(*r).fg.is_some() && theme.style(*r).bg.is_some()), "{name}");
        seen += 1;
    }
    assert_eq!(seen, 5);
    for (broken, said) in [
        (format!("painted = true\n{MONO}"), "it is to be painted and has no `background`"),
        (format!("painted = true\nbackground = \"#000000\"\n{MONO}"), "it is to be painted and gives `text` no `fg`"),
        (format!("background = \"nothing\"\n{MONO}"), "`nothing` is no colour"),
    ] {
        let e = Theme::parse("x", &broken).unwrap_err();
        assert!(e.to_string().contains(said), "{e}");
    }
}

#[test]
fn a_wardrobe_has_all_that_can_be_read_and_wears_the_first() {
    let own = [("mine".to_owned(), MONO.to_owned()), ("broken".to_owned(), "[roles]\n".to_owned())];
    let all = Wardrobe::open(Some("mine"), &own, FULL).unwrap();
    assert_eq!(all.names().len(), BUILT_IN.len() + 1, "{:?}", all.names());
    assert_eq!(
        (all.worn().name.as_str(), all.named("light").name.as_str(), all.named("?").name.as_str()),
        ("mine", "light", "mine")
    );
    assert!(Wardrobe::open(Some("broken"), &own, FULL).is_err());
}
