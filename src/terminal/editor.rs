//! The person's own editor on a file of its own: readable by nobody else, deleted afterwards.

use std::io::{Read as _, Write as _};
use std::process::Stdio;

/// Longest text that is taken back, in bytes.
const MOST: u64 = 64 * 1024;

/// Edits a text with a program and its arguments; the terminal must be the program's own meanwhile.
///
/// # Errors
/// Why the text stays as it was.
pub async fn edit(editor: &[String], text: &str) -> Result<String, String> {
    let stays = |why: String| format!("the text stays as it was: {why}");
    let [program, arguments @ ..] = editor else { return Err(stays("no editor is named".into())) };
    // Created with mode 0600 in the person's temporary directory.
    let mut file = tempfile::Builder::new()
        .prefix("quarterdeck-")
        .suffix(".txt")
        .tempfile()
        .map_err(|e| stays(format!("no file for it: {e}")))?;
    file.write_all(text.as_bytes()).and_then(|()| file.flush()).map_err(|e| stays(e.to_string()))?;
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).arg(file.path());
    command.stdin(Stdio::inherit()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
    let status = command.status().await.map_err(|e| stays(format!("{program}: {e}")))?;
    if !status.success() {
        return Err(stays(format!("{program} ended with {status}")));
    }
    // Opened by its name: an editor may have put another file in the place of the first.
    let opened = std::fs::File::open(file.path()).map_err(|e| stays(e.to_string()))?;
    let mut edited = Vec::new();
    opened.take(MOST + 1).read_to_end(&mut edited).map_err(|e| stays(e.to_string()))?;
    if edited.len() as u64 > MOST {
        return Err(stays(format!("it is longer than {MOST} bytes")));
    }
    String::from_utf8(edited).map_err(|_| stays("it is no UTF-8".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Vec<String> {
        ["/bin/sh", "-c", script, "sh"].map(str::to_owned).to_vec()
    }

    #[tokio::test]
    async fn what_the_editor_leaves_is_taken_and_nothing_else() {
        let edited = edit(&sh("test \"$(cat \"$1\")\" = before && printf 'after\\n' > \"$1\""), "before").await;
        assert_eq!(edited.as_deref(), Ok("after\n"));
        let replaced = edit(&sh("printf other > \"$1.new\" && mv \"$1.new\" \"$1\""), "x").await;
        assert_eq!(replaced.as_deref(), Ok("other"));
        for (script, says) in [
            ("exit 1", "exit status: 1"),
            ("printf '\\377' > \"$1\"", "no UTF-8"),
            ("rm \"$1\"", "No such file"),
            ("head -c 70000 /dev/zero > \"$1\"", "longer than"),
        ] {
            let why = edit(&sh(script), "x").await.unwrap_err();
            assert!(why.starts_with("the text stays as it was: ") && why.contains(says), "{script}: {why}");
        }
        assert!(edit(&["/does/not/exist".into()], "x").await.unwrap_err().contains("No such file"));
    }
}
