//! The stand-in's side of each imported interface, with the signatures of the bindings.

use super::with;

pub(crate) mod log {
    use super::with;
    use crate::bindings::everwit::host::log as wit;
    use crate::log::Level;
    use crate::testing::LogLine;

    pub(crate) fn write(level: wit::Level, message: &str, fields: &[(String, String)]) {
        let level = match level {
            wit::Level::Trace => Level::Trace,
            wit::Level::Debug => Level::Debug,
            wit::Level::Info => Level::Info,
            wit::Level::Warn => Level::Warn,
            wit::Level::Error => Level::Error,
        };
        with(|host| {
            host.logged.push(LogLine { level, message: message.to_owned(), fields: fields.to_vec() });
        });
    }

    /// A native panic reports itself.
    pub(crate) fn panicked(_message: &str) {}
}

pub(crate) mod call {
    use super::with;
    use crate::bindings::everwit::host::call as wit;
    use crate::call::Stop;
    use crate::testing::{CALL_MS, START_MS};

    pub(crate) fn remaining_ms() -> u64 {
        with(|host| (START_MS + CALL_MS).saturating_sub(host.tick()))
    }

    pub(crate) fn stopped() -> Option<wit::Stop> {
        with(|host| host.stop).map(|stop| match stop {
            Stop::Cancelled => wit::Stop::Cancelled,
            Stop::Deadline => wit::Stop::Deadline,
        })
    }

    pub(crate) fn progress(done: u64, total: Option<u64>, note: Option<&str>) -> Result<(), wit::Stop> {
        with(|host| {
            let note = note.map(str::to_owned);
            host.progressed.push((done, total, note));
        });
        stopped().map_or(Ok(()), Err)
    }

    pub(crate) fn emit(parts: &[wit::Part]) -> Result<(), wit::Stop> {
        with(|host| host.emitted += parts.len());
        stopped().map_or(Ok(()), Err)
    }
}

pub(crate) mod clock {
    use super::with;
    use crate::testing::{Host, START_MS};

    pub(crate) fn now_ms() -> u64 {
        with(Host::tick)
    }

    pub(crate) fn monotonic_ms() -> u64 {
        with(|host| host.tick().saturating_sub(START_MS))
    }
}

pub(crate) mod random {
    use super::with;
    use crate::testing::Host;

    pub(crate) fn bytes(count: u32) -> Vec<u8> {
        with(|host| (0..count).map(|_| host.next_random().to_le_bytes()[0]).collect())
    }

    pub(crate) fn number() -> u64 {
        with(Host::next_random)
    }
}

pub(crate) mod kv {
    use super::with;
    use crate::bindings::everwit::kv::store::{Entry, Fault};
    use crate::testing::Host;

    /// Largest key in bytes.
    const KEY_BYTES: usize = 512;
    /// Largest value in bytes.
    const VALUE_BYTES: usize = 256 * 1024;
    /// Most keys of a bucket.
    const BUCKET_KEYS: usize = 1024;

    pub(crate) fn get(bucket: &str, key: &str) -> Result<Option<Entry>, Fault> {
        with(|host| {
            check(host, bucket, key)?;
            Ok(host.entries.get(&address(bucket, key)).cloned())
        })
    }

    pub(crate) fn put(bucket: &str, key: &str, value: &[u8], expected: Option<u64>) -> Result<u64, Fault> {
        with(|host| {
            check(host, bucket, key)?;
            if value.len() > VALUE_BYTES {
                return Err(Fault::TooLarge);
            }
            let old = version(host, bucket, key, expected)?;
            let used = host.entries.keys().filter(|(in_bucket, _)| in_bucket == bucket);
            if old == 0 && used.count() >= BUCKET_KEYS {
                return Err(Fault::Quota);
            }
            let entry = Entry { value: value.to_vec(), version: old + 1 };
            host.entries.insert(address(bucket, key), entry);
            Ok(old + 1)
        })
    }

    pub(crate) fn remove(bucket: &str, key: &str, expected: Option<u64>) -> Result<(), Fault> {
        with(|host| {
            check(host, bucket, key)?;
            version(host, bucket, key, expected)?;
            host.entries.remove(&address(bucket, key));
            Ok(())
        })
    }

    pub(crate) fn keys(bucket: &str, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, Fault> {
        with(|host| {
            check(host, bucket, prefix)?;
            let keys = host.entries.keys().filter_map(|(in_bucket, key)| {
                let wanted = in_bucket == bucket && key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after);
                wanted.then(|| key.clone())
            });
            Ok(keys.take(limit as usize).collect())
        })
    }

    fn check(host: &Host, bucket: &str, key: &str) -> Result<(), Fault> {
        if !host.buckets.contains(bucket) {
            let text = format!("bucket `{bucket}` is not granted");
            return Err(Fault::Denied(text));
        }
        if key.len() > KEY_BYTES {
            return Err(Fault::TooLarge);
        }
        Ok(())
    }

    /// The entry's version, 0 if it is absent, if that is what was expected.
    fn version(host: &Host, bucket: &str, key: &str, expected: Option<u64>) -> Result<u64, Fault> {
        let entry = host.entries.get(&address(bucket, key));
        let version = entry.map_or(0, |entry| entry.version);
        if expected.is_some_and(|expected| expected != version) {
            return Err(Fault::Conflict);
        }
        Ok(version)
    }

    fn address(bucket: &str, key: &str) -> (String, String) {
        (bucket.to_owned(), key.to_owned())
    }
}

/// Directories are those of the files that there are.
pub(crate) mod files {
    use std::collections::BTreeMap;
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};

    use super::with;
    use crate::bindings::files::everwit::files::store::{Content, Entry, Fault, Page};
    use crate::testing::Host;

    /// Largest file in bytes.
    const FILE_BYTES: usize = 16 * 1024 * 1024;

    pub(crate) fn read(path: &str, offset: u64, length: Option<u64>) -> Result<Content, Fault> {
        with(|host| {
            let path = check(host, path, false)?;
            let Some(content) = host.files.get(&path) else {
                return Err(unless_directory(host, &path).unwrap_or(Fault::NotFound));
            };
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
            let wanted = length.and_then(|length| usize::try_from(length).ok()).unwrap_or(usize::MAX);
            let end = start.saturating_add(wanted).min(content.len());
            Ok(Content { bytes: content[start..end].to_vec(), size: content.len() as u64, revision: revision(content) })
        })
    }

    pub(crate) fn stat(path: &str) -> Result<Option<Entry>, Fault> {
        with(|host| {
            let path = check(host, path, false)?;
            Ok(all(host).remove(&path))
        })
    }

    pub(crate) fn entries(directory: &str, recursive: bool, after: Option<&str>, limit: u32) -> Result<Page, Fault> {
        with(|host| {
            let directory = check(host, directory, false)?;
            let all = all(host);
            match all.get(&directory) {
                None => return Err(Fault::NotFound),
                Some(entry) if !entry.directory => return Err(Fault::Unfit(format!("{directory} is no directory"))),
                Some(_) => {}
            }
            let below = format!("{}/", directory.trim_end_matches('/'));
            let mut rest = all.into_values().filter(|entry| {
                let name = entry.path.strip_prefix(&below).filter(|name| !name.is_empty());
                let inside = name.is_some_and(|name| recursive || !name.contains('/'));
                inside && after.is_none_or(|after| entry.path.as_str() > after)
            });
            let entries = rest.by_ref().take(limit as usize).collect();
            Ok(Page { entries, more: rest.next().is_some() })
        })
    }

    pub(crate) fn write(path: &str, content: &[u8], expected: Option<&str>) -> Result<String, Fault> {
        with(|host| {
            let path = check(host, path, true)?;
            if content.len() > FILE_BYTES {
                return Err(Fault::TooLarge(format!("a file has at most {FILE_BYTES} bytes")));
            }
            if let Some(fault) = unless_directory(host, &path) {
                return Err(fault);
            }
            let old = host.files.get(&path).map(|content| revision(content)).unwrap_or_default();
            if expected.is_some_and(|expected| expected != old) {
                return Err(Fault::Conflict);
            }
            host.files.insert(path, content.to_vec());
            Ok(revision(content))
        })
    }

    pub(crate) fn remove(path: &str) -> Result<bool, Fault> {
        with(|host| {
            let path = check(host, path, true)?;
            match unless_directory(host, &path) {
                Some(fault) => Err(fault),
                None => Ok(host.files.remove(&path).is_some()),
            }
        })
    }

    /// The path from the root, if it is one and access to it is granted.
    fn check(host: &Host, path: &str, write: bool) -> Result<String, Fault> {
        if host.file_access.is_none_or(|may_write| write && !may_write) {
            let what = if write { "changing" } else { "reading" };
            return Err(Fault::Denied(format!("{what} the session's files is not granted")));
        }
        if path.split('/').any(|name| name == "..") || path.contains(['\\', '\0']) {
            return Err(Fault::InvalidPath(format!("`{path}` is no path of a session file")));
        }
        let mut names: Vec<&str> = path.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
        if names.first() == Some(&"workspace") {
            names.remove(0);
        }
        Ok(format!("/{}", names.join("/")))
    }

    fn unless_directory(host: &Host, path: &str) -> Option<Fault> {
        let is_directory = all(host).get(path).is_some_and(|entry| entry.directory);
        is_directory.then(|| Fault::Unfit(format!("{path} is a directory")))
    }

    /// Files and the directories above them, and the root.
    fn all(host: &Host) -> BTreeMap<String, Entry> {
        let entry = |path: &str, directory, size, revision| {
            let entry = Entry { path: path.to_owned(), directory, read_only: false, size, revision, modified_ms: None };
            (path.to_owned(), entry)
        };
        let mut all = BTreeMap::from([entry("/", true, 0, None)]);
        for (path, content) in &host.files {
            all.extend(path.match_indices('/').skip(1).map(|(at, _)| entry(&path[..at], true, 0, None)));
            all.extend([entry(path, false, content.len() as u64, Some(revision(content)))]);
        }
        all
    }

    fn revision(content: &[u8]) -> String {
        let mut hasher = DefaultHasher::new();
        content.hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }
}

pub(crate) mod http {
    use super::with;
    use crate::bindings::everwit::http::types::{Fault, Head, Request, Sse};
    use crate::testing::{HttpRequest, Reading};

    pub(crate) type Response = Reading;

    pub(crate) fn send(request: &Request) -> Result<Response, Fault> {
        // Taken out meanwhile, so that the function may use the rest of the stand-in.
        let Some(mut answer) = with(|host| host.answer.take()) else {
            return Err(Fault {
                kind: "denied".into(),
                message: format!("no HTTP access to {} is granted", request.url),
                request_sent: false,
                retry_after_ms: None,
            });
        };
        let result = answer(HttpRequest {
            method: request.method.clone(),
            url: request.url.clone(),
            headers: request.headers.clone(),
            body: request.body.clone(),
        });
        with(|host| host.answer = Some(answer));
        Ok(result?.into())
    }

    impl Reading {
        pub(crate) fn head(&self) -> Head {
            self.head.clone()
        }

        pub(crate) fn read(&self, max: u32) -> Result<Option<Vec<u8>>, Fault> {
            let mut body = self.body.borrow_mut();
            let count = body.len().min(max as usize);
            Ok((count > 0).then(|| body.drain(..count).collect()))
        }

        pub(crate) fn read_sse(&self) -> Result<Option<Sse>, Fault> {
            let event = self.events.borrow_mut().pop_front();
            Ok(event.map(|event| Sse { event: event.event, data: event.data, id: event.id }))
        }
    }
}

pub(crate) mod reveal {
    /// The value of a secret in tests: the token is as good as any.
    pub(crate) fn reveal(secret: &super::secrets::Secret) -> Result<Vec<u8>, String> {
        Ok(secret.token().into_bytes())
    }
}

pub(crate) mod tools {
    use super::with;
    use crate::bindings::everwit::types::tools::CallOutput;
    use crate::bindings::tools::everwit::tools::calls::Fault;
    use crate::tools;

    pub(crate) fn call(name: &str, arguments: &str) -> Result<CallOutput, Fault> {
        // Taken out meanwhile, so that the function may use the rest of the stand-in.
        let Some(mut answer) = with(|host| host.tools.take()) else {
            return Err(Fault::Denied(format!("the tool {name} is not granted")));
        };
        let arguments = serde_json::from_str(arguments).map_err(|error| Fault::InvalidArguments(error.to_string()));
        let result = arguments.and_then(|arguments| answer(name, arguments).map(CallOutput::from).map_err(into_wit));
        with(|host| host.tools = Some(answer));
        result
    }

    fn into_wit(fault: tools::Fault) -> Fault {
        match fault {
            tools::Fault::Denied(text) => Fault::Denied(text),
            tools::Fault::InvalidArguments(text) => Fault::InvalidArguments(text),
            tools::Fault::Limit(text) => Fault::Limit(text),
            tools::Fault::Failed(failure) => Fault::Failed(failure.into()),
            tools::Fault::Stopped(text) => Fault::Stopped(text),
            tools::Fault::Other(text) => Fault::Other(text),
        }
    }
}

pub(crate) mod secrets {
    use super::with;
    use crate::bindings::everwit::secrets::store::Absent;

    #[derive(Debug)]
    pub(crate) struct Secret {
        name: String,
        audience: String,
    }

    impl Secret {
        pub(crate) fn token(&self) -> String {
            format!("token-of-{}", self.name)
        }

        pub(crate) fn audience(&self) -> String {
            self.audience.clone()
        }
    }

    pub(crate) fn open(name: &str) -> Result<Secret, Absent> {
        match with(|host| host.secrets.get(name).cloned()) {
            Some(audience) => Ok(Secret { name: name.to_owned(), audience }),
            None => Err(Absent::Unavailable(format!("secret `{name}` is not bound"))),
        }
    }
}
