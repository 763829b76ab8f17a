//! One file, over as many connections as it takes.

use std::io::Read;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use ureq::http::{HeaderMap, Response, StatusCode, header};
use ureq::{Agent, Body};

use super::hub::redirected;
use super::part::{Part, io};
use super::{Error, Hub, HubFile};

/// Redirects that are followed.
const MAX_HOPS: usize = 10;

/// How long Ctrl-C may go unheard while nothing arrives.
const TICK: Duration = Duration::from_millis(50);

/// Bytes of a body that are read at a time.
const PIECE: usize = 256 << 10;

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a connection, and for an answer to begin.
    pub connect: Duration,
    /// Between two pieces of a body.
    pub stall: Duration,
    /// Before the second attempt; doubled before each further one.
    pub backoff: Duration,
    /// Attempts in a row that bring no byte.
    pub attempts: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            stall: Duration::from_secs(20),
            backoff: Duration::from_secs(1),
            attempts: 6,
        }
    }
}

/// The longest pause between two attempts, whatever the server asks for.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// How far a download is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The file's size is known; this much of it was there already.
    Begun {
        /// Bytes of the file, where the server says it.
        total: Option<u64>,
        /// Bytes that an earlier run left.
        done: u64,
    },
    /// So many bytes are on the disk.
    Bytes(u64),
    /// An attempt failed; the next one follows.
    Retry(String),
}

/// What the hub says of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Facts {
    size: Option<u64>,
    /// SHA-256 in lower-case hexadecimal digits.
    sha256: Option<String>,
    /// The hash, else a strong ETag: what tells this version of the file from others.
    tag: Option<String>,
}

/// Fetches files from one hub.
pub struct Downloader {
    hub: Hub,
    agent: Agent,
    patience: Patience,
}

/// One attempt at something, which tells how far it is.
type Attempt<'a, T> = dyn FnMut(&mut dyn FnMut(Progress)) -> Result<T, Stop> + 'a;

/// Why an attempt ended early.
enum Stop {
    /// Worth another attempt, after this pause if the server asks for one.
    Again(String, Option<Duration>),
    Final(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

impl Downloader {
    /// A downloader for `hub`.
    pub fn new(hub: Hub, patience: Patience) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // We follow ourselves: the token must not leave the hub, and its answers on the way carry the hash.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .accept_encoding("identity")
            .user_agent(concat!("kinora/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(patience.connect))
            .timeout_recv_response(Some(patience.connect))
            .timeout_per_read(Some(patience.stall))
            .build();
        Self {
            hub,
            agent: config.new_agent(),
            patience,
        }
    }

    /// Size of `file` on the hub, where the server tells it.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch).
    pub fn size(&self, file: &HubFile) -> Result<Option<u64>, Error> {
        let url = self.hub.url(file);
        self.persist(&url, &mut 0, &|| false, &mut |_| {}, &mut |_| self.facts(&url))
            .map(|facts| facts.size)
    }

    /// Fetches `file` to `target`, whose folder exists. What an earlier run left of the same version is used; what
    /// arrives is checked by size and, where the hub tells it, by SHA-256. Returns whether anything had to be fetched.
    ///
    /// # Errors
    /// [`Error`]. The unfinished file stays for the next run, except where its hash is wrong.
    pub fn fetch(
        &self,
        file: &HubFile,
        target: &Path,
        cancelled: &dyn Fn() -> bool,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<bool, Error> {
        let url = self.hub.url(file);
        let facts = self.persist(&url, &mut 0, cancelled, tell, &mut |_| self.facts(&url))?;
        if let Ok(there) = std::fs::metadata(target) {
            let expected = facts.size.unwrap_or(there.len());
            if there.len() == expected {
                return Ok(false);
            }
            return Err(Error::Exists {
                path: target.to_owned(),
                found: there.len(),
                expected,
            });
        }
        let mut part = Part::open(target, facts.tag.as_deref().unwrap_or_default(), cancelled)?;
        if facts.tag.is_none() || facts.size.is_some_and(|size| part.length() > size) {
            // Nothing says that it is the beginning of this version.
            part.restart()?;
        }
        if let Err(error) = check_space(target, facts.size.unwrap_or(0).saturating_sub(part.length())) {
            if part.length() == 0 {
                part.remove()?;
            }
            return Err(error);
        }
        let mut done = part.length();
        tell(Progress::Begun {
            total: facts.size,
            done,
        });
        self.persist(&url, &mut done, cancelled, tell, &mut |tell| {
            self.attempt(&url, &facts, &mut part, cancelled, tell)
        })?;
        let got = part.sha256();
        if let Some(expected) = facts.sha256.filter(|expected| *expected != got) {
            part.remove()?;
            return Err(Error::Hash { url, expected, got });
        }
        part.finish()?;
        Ok(true)
    }

    /// Repeats `attempt` until it succeeds, fails for good, or has failed too often without progress.
    fn persist<T>(
        &self,
        url: &str,
        done: &mut u64,
        cancelled: &dyn Fn() -> bool,
        tell: &mut dyn FnMut(Progress),
        attempt: &mut Attempt<'_, T>,
    ) -> Result<T, Error> {
        let mut fruitless = 0;
        loop {
            let before = *done;
            let result = attempt(&mut |progress| {
                if let Progress::Bytes(bytes) = progress {
                    *done = bytes;
                }
                tell(progress);
            });
            let (why, pause) = match result {
                Ok(result) => return Ok(result),
                Err(Stop::Final(error)) => return Err(error),
                Err(Stop::Again(why, pause)) => (why, pause),
            };
            fruitless = if *done > before { 1 } else { fruitless + 1 };
            if fruitless >= self.patience.attempts {
                return Err(Error::GaveUp {
                    url: url.to_owned(),
                    why,
                    attempts: fruitless,
                    done: *done,
                });
            }
            tell(Progress::Retry(why));
            let pause = pause.unwrap_or(self.patience.backoff * 2u32.pow(fruitless.min(10) - 1));
            self.wait(pause.min(MAX_PAUSE), *done, cancelled)?;
        }
    }

    fn wait(&self, pause: Duration, done: u64, cancelled: &dyn Fn() -> bool) -> Result<(), Error> {
        let mut left = pause;
        loop {
            if cancelled() {
                return Err(Error::Cancelled { done });
            }
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(TICK));
            left = left.saturating_sub(TICK);
        }
    }

    /// Asks without fetching. The hub's own answers carry size and hash; the storage that it redirects to is asked
    /// only where they do not.
    fn facts(&self, url: &str) -> Result<Facts, Stop> {
        let mut facts = Facts {
            size: None,
            sha256: None,
            tag: None,
        };
        self.follow(
            url,
            |at| self.agent.head(at),
            |at, response| {
                let headers = response.headers();
                let linked = text(headers, "x-linked-etag");
                let own = self.hub.owns(at) && response.status().is_success();
                let tag = linked
                    .or_else(|| text(headers, "etag").filter(|_| own))
                    .and_then(strong);
                if facts.tag.is_none()
                    && let Some(tag) = tag
                {
                    facts.sha256 = is_sha256(&tag).then(|| tag.to_lowercase());
                    facts.tag = Some(tag);
                }
                let size = text(headers, "x-linked-size");
                let size = size.or_else(|| text(headers, "content-length").filter(|_| response.status().is_success()));
                facts.size = facts.size.or_else(|| size?.parse().ok());
                // The rest of the way would only cost time.
                facts.sha256.is_some() && facts.size.is_some()
            },
        )?;
        Ok(facts)
    }

    /// Fetches what `part` lacks.
    fn attempt(
        &self,
        url: &str,
        facts: &Facts,
        part: &mut Part,
        cancelled: &dyn Fn() -> bool,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<(), Stop> {
        let start = part.length();
        if facts.size == Some(start) && start > 0 {
            return Ok(());
        }
        let request = |at: &str| {
            let request = self.agent.get(at);
            if start == 0 {
                return request;
            }
            let request = request.header(header::RANGE, format!("bytes={start}-"));
            // With a hash to check at the end no condition is needed, and a storage has tags of its own.
            match facts.tag.as_ref().filter(|_| facts.sha256.is_none()) {
                Some(tag) => request.header(header::IF_RANGE, format!("\"{tag}\"")),
                None => request,
            }
        };
        let response = self.follow(url, request, |_, _| false)?;
        let answer = |why: String| {
            Stop::Final(Error::Answer {
                url: url.to_owned(),
                why,
            })
        };
        let headers = response.headers();
        let total = match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let (begin, total) = text(headers, "content-range")
                    .and_then(content_range)
                    .ok_or_else(|| answer("it sends a piece of the file without saying which".to_owned()))?;
                if begin != start {
                    return Err(answer(format!(
                        "asked for the bytes from {start} on, it sends those from {begin} on"
                    )));
                }
                total
            }
            StatusCode::RANGE_NOT_SATISFIABLE => {
                part.restart()?;
                return Err(Stop::Again(
                    "the part that was there is of no use; starting again".to_owned(),
                    None,
                ));
            }
            _ => {
                // The whole file, asked for or not.
                part.restart()?;
                text(headers, "content-length").and_then(|length| length.parse().ok())
            }
        };
        if let (Some(total), Some(size)) = (total, facts.size)
            && total != size
        {
            return Err(answer(format!(
                "it sends a file of {total} bytes where {size} were announced; try again later"
            )));
        }
        self.body(response, total.or(facts.size), url, part, cancelled, tell)
    }

    fn body(
        &self,
        response: Response<Body>,
        total: Option<u64>,
        url: &str,
        part: &mut Part,
        cancelled: &dyn Fn() -> bool,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<(), Stop> {
        let pieces = read_aside(response.into_body());
        loop {
            if cancelled() {
                return Err(Stop::Final(Error::Cancelled { done: part.length() }));
            }
            let piece = match pieces.recv_timeout(TICK) {
                Ok(Ok(piece)) => piece,
                Ok(Err(error)) => return Err(Stop::Again(format!("the connection broke: {error}"), None)),
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if total.is_some_and(|total| part.length() + piece.len() as u64 > total) {
                part.restart()?;
                return Err(Stop::Final(Error::Answer {
                    url: url.to_owned(),
                    why: "it sends more bytes than it announced; try again later".to_owned(),
                }));
            }
            part.append(&piece)?;
            tell(Progress::Bytes(part.length()));
        }
        match total {
            Some(total) if part.length() < total => {
                let why = format!("the connection ended after {} of {total} bytes", part.length());
                Err(Stop::Again(why, None))
            }
            _ => Ok(()),
        }
    }

    /// Sends a request and follows redirects. `seen` looks at every answer on the way and can end it.
    fn follow(
        &self,
        url: &str,
        request: impl Fn(&str) -> ureq::RequestBuilder<ureq::typestate::WithoutBody>,
        mut seen: impl FnMut(&str, &Response<Body>) -> bool,
    ) -> Result<Response<Body>, Stop> {
        let answer = |at: &str, why: String| {
            Stop::Final(Error::Answer {
                url: at.to_owned(),
                why,
            })
        };
        let mut at = url.to_owned();
        for _ in 0..=MAX_HOPS {
            let mut request = request(&at);
            let token = self.hub.token_for(&at);
            if let Some(token) = token {
                request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
            }
            let response = match request.call() {
                Ok(response) => response,
                Err(error) => return Err(failure(&at, error)),
            };
            let status = response.status();
            if status.is_client_error() || status.is_server_error() {
                return match status.as_u16() {
                    416 => Ok(response),
                    status @ (401 | 403) => Err(Stop::Final(Error::Refused {
                        url: url.to_owned(),
                        status,
                        token: token.is_some(),
                    })),
                    404 | 410 => Err(Stop::Final(Error::NotFound { url: url.to_owned() })),
                    code @ (408 | 425 | 429 | 500..) => {
                        let pause = text(response.headers(), "retry-after").and_then(|after| after.parse().ok());
                        Err(Stop::Again(
                            format!("the server answers {code}"),
                            pause.map(Duration::from_secs),
                        ))
                    }
                    code => Err(answer(&at, format!("the server answers {code}"))),
                };
            }
            let web_page = text(response.headers(), "content-type").is_some_and(|kind| kind.starts_with("text/html"));
            if web_page && status.is_success() {
                return Err(answer(
                    &at,
                    "it sends a web page instead of the file (a login page, or a proxy's)".to_owned(),
                ));
            }
            if seen(&at, &response) || !status.is_redirection() {
                return Ok(response);
            }
            let location = text(response.headers(), "location");
            at = location
                .and_then(|location| redirected(&at, location))
                .ok_or_else(|| answer(&at, format!("it redirects to {location:?}, which is not followed")))?;
        }
        Err(answer(
            url,
            format!("more than {MAX_HOPS} redirects; the server leads in circles"),
        ))
    }
}

/// Reads a body on a thread of its own, whose end closes the channel: a read cannot be interrupted, and it lasts as
/// long as the patience with a stall.
fn read_aside(body: Body) -> Receiver<std::io::Result<Vec<u8>>> {
    let (send, receive) = sync_channel(4);
    std::thread::spawn(move || {
        let mut reader = body.into_with_config().limit(u64::MAX).reader();
        loop {
            let mut piece = vec![0; PIECE];
            let read = match reader.read(&mut piece) {
                Ok(0) => return,
                Ok(n) => {
                    piece.truncate(n);
                    Ok(piece)
                }
                Err(error) => Err(error),
            };
            let failed = read.is_err();
            // Nobody listens any more after Ctrl-C or a lie.
            if send.send(read).is_err() || failed {
                return;
            }
        }
    });
    receive
}

/// A failure without an answer: most are of the moment.
fn failure(url: &str, error: ureq::Error) -> Stop {
    match error {
        ureq::Error::BadUri(_) | ureq::Error::Http(_) | ureq::Error::InvalidProxyUrl | ureq::Error::Tls(_) => {
            Stop::Final(Error::Answer {
                url: url.to_owned(),
                why: error.to_string(),
            })
        }
        error => Stop::Again(error.to_string(), None),
    }
}

fn check_space(target: &Path, needed: u64) -> Result<(), Error> {
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let free = fs4::available_space(folder).map_err(io(folder, "ask for its free space"))?;
    if free < needed {
        return Err(Error::Space {
            path: target.to_owned(),
            needed,
            free,
        });
    }
    Ok(())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The value of an ETag; `None` for a weak one, which does not promise the same bytes.
fn strong(tag: &str) -> Option<String> {
    (!tag.starts_with("W/")).then(|| tag.trim_matches('"').to_owned())
}

fn is_sha256(tag: &str) -> bool {
    tag.len() == 64 && tag.bytes().all(|b| b.is_ascii_hexdigit())
}

/// First byte and total of `bytes 5-9/10`; the total may be `*`.
fn content_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (begin, _) = range.split_once('-')?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    Some((begin.parse().ok()?, total))
}
