//! Checks that the programs which the commands need are there, before anything long starts.

use std::process::{Command, Stdio};

use crate::process::{Error, Result, read, run};

/// A program and the oldest version that works.
pub(crate) struct Tool {
    name: &'static str,
    least: (u32, u32),
    fix: &'static str,
}

/// Builds JavaScript guests and runs their tests. npm comes with it, or beside it.
pub(crate) const NODE: Tool = Tool {
    name: "node",
    least: (20, 6),
    fix: "install Node.js 20.6 or newer with npm: `apt-get install -y nodejs npm` on Debian 13 and Ubuntu 25.04 or later, \
          from https://nodejs.org/en/download elsewhere",
};

pub(crate) const NPM: Tool = Tool { name: "npm", least: (9, 0), fix: NODE.fix };

/// Builds Python guests, and is what sandboxed calls are measured against. The oldest version that reads TOML.
pub(crate) const PYTHON: Tool =
    Tool { name: "python3", least: (3, 11), fix: "`apt-get install -y python3`, or https://www.python.org/downloads" };

/// The demo is curl alone, as in the README.
pub(crate) const CURL: Tool = Tool { name: "curl", least: (7, 76), fix: "`apt-get install -y curl`" };

impl Tool {
    /// Checks that it is in PATH and new enough.
    pub(crate) fn require(&self) -> Result<()> {
        let Self { name, least: (major, minor), fix } = self;
        let needed = format!("{name} {major}.{minor} or newer is needed");
        let printed = read(Command::new(name).arg("--version")).map_err(|_| Error::new(format!("{needed} and was not found")).fix(*fix))?;
        match version(&printed) {
            Some(found) if found >= self.least => Ok(()),
            Some((major, minor)) => Err(Error::new(format!("{needed}; this is {major}.{minor}")).fix(*fix)),
            None => Err(Error::new(format!("{needed}; `{name} --version` prints {:?}", printed.trim())).fix(*fix)),
        }
    }
}

/// Whether `cargo NAME` exists.
pub(crate) fn has_cargo_command(name: &str) -> bool {
    let status = Command::new("cargo").args([name, "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Installs packages of Debian, as root or with a sudo that asks for nothing.
pub(crate) fn apt_install(packages: &[&str]) -> Result<()> {
    let by_hand = format!("apt-get update && apt-get install -y --no-install-recommends {}", packages.join(" "));
    let root = read(Command::new("id").arg("-u"))?.trim() == "0";
    let apt = |arguments: &[&str]| {
        let mut command = Command::new(if root { "env" } else { "sudo" });
        if !root {
            command.args(["--non-interactive", "env"]);
        }
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]).args(arguments);
        run(&mut command).map_err(|error| error.fix(format!("run as root: {by_hand}")))
    };
    apt(&["update", "-qq"])?;
    apt(&[&["install", "-y", "-qq", "--no-install-recommends"], packages].concat())
}

/// The first `MAJOR.MINOR` in a text like "v20.20.2" or "curl 7.88.1 (x86_64)".
pub(crate) fn version(text: &str) -> Option<(u32, u32)> {
    text.split_whitespace().find_map(|word| {
        let mut numbers = word.trim_start_matches('v').split('.').map(|part| part.parse().ok());
        Some((numbers.next()??, numbers.next()??))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_versions_that_tools_print() {
        assert_eq!(version("v20.20.2\n"), Some((20, 20)));
        assert_eq!(version("curl 7.88.1 (x86_64-pc-linux-gnu)"), Some((7, 88)));
        assert_eq!(version("Python 3.11.7\n"), Some((3, 11)));
        assert_eq!(version("rustc 1.96.0 (ac68faa20 2026-05-25)"), Some((1, 96)));
        assert_eq!(version("no version here"), None);
    }

    #[test]
    fn a_tool_that_is_too_old_or_missing_is_refused_with_the_fix() {
        let old = Tool { name: "cargo", least: (999, 0), fix: "update it" };
        let error = old.require().expect_err("there is no cargo 999").to_string();
        assert!(error.starts_with("cargo 999.0 or newer is needed; this is 1.") && error.ends_with("fix: update it"), "{error}");
        let missing = Tool { name: "no-such-tool", least: (1, 0), fix: "get it" };
        let error = missing.require().expect_err("there is no such tool").to_string();
        assert_eq!(error, "no-such-tool 1.0 or newer is needed and was not found\n  fix: get it");
    }
}
