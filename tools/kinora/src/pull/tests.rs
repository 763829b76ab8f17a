//! Downloads from a server in this process that cuts, stalls, redirects and lies.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::*;

/// A request as the server saw it; names of headers in lower case.
#[derive(Clone, Debug)]
struct Request {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// First byte of the range asked for.
    fn start(&self) -> usize {
        let range = self
            .header("range")
            .and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-'));
        range.map_or(0, |start| start.parse().unwrap())
    }
}

/// A server that closes each connection after one answer.
struct Server {
    url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// `answer` writes the whole answer; what it returns is of no interest (clients may leave).
    fn start(answer: impl Fn(&Request, &mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (requests.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, seen, answer) = (stream.unwrap(), seen.clone(), answer.clone());
                std::thread::spawn(move || {
                    let Some(request) = read(&stream) else { return };
                    seen.lock().unwrap().push(request.clone());
                    let _ = answer(&request, &mut stream);
                });
            }
        });
        Self { url, requests }
    }

    fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    fn gets(&self) -> Vec<Request> {
        self.requests().into_iter().filter(|r| r.method == "GET").collect()
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = BTreeMap::new();
    for line in lines {
        let line = line.ok()?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    Some(Request { method, path, headers })
}

fn head(stream: &mut TcpStream, status: &str, headers: &[(&str, String)]) -> std::io::Result<()> {
    let mut text = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{text}\r\n").as_bytes())
}

/// Bytes that compress to nothing recognisable.
fn data() -> Vec<u8> {
    (0..600_000u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// The headers that the hub answers `HEAD` with.
fn facts(data: &[u8]) -> Vec<(&'static str, String)> {
    vec![
        ("X-Linked-Etag", format!("\"{}\"", sha256(data))),
        ("X-Linked-Size", data.len().to_string()),
    ]
}

/// A well-behaved answer: the file, or what is left of it from the range's start on.
fn serve(request: &Request, stream: &mut TcpStream, data: &[u8]) -> std::io::Result<()> {
    let (start, mut headers) = (request.start(), facts(data));
    if request.method == "HEAD" {
        headers.push(("Content-Length", data.len().to_string()));
        return head(stream, "200 OK", &headers);
    }
    headers.push(("Content-Length", (data.len() - start).to_string()));
    if start == 0 {
        head(stream, "200 OK", &headers)?;
    } else {
        headers.push((
            "Content-Range",
            format!("bytes {start}-{}/{}", data.len() - 1, data.len()),
        ));
        head(stream, "206 Partial Content", &headers)?;
    }
    stream.write_all(&data[start..])
}

struct Pull {
    folder: tempfile::TempDir,
    hub: Hub,
    patience: Patience,
    messages: Vec<Progress>,
}

impl Pull {
    fn from(server: &Server) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            hub: Hub::new(&server.url, Some("secret".into())).unwrap(),
            patience: Patience {
                connect: Duration::from_millis(500),
                stall: Duration::from_millis(200),
                backoff: Duration::from_millis(5),
                attempts: 3,
            },
            messages: Vec::new(),
        }
    }

    fn target(&self) -> PathBuf {
        self.folder.path().join("model.safetensors")
    }

    fn run(&mut self) -> Result<bool, Error> {
        self.run_until(|| false)
    }

    fn run_until(&mut self, cancelled: impl Fn() -> bool) -> Result<bool, Error> {
        let file = HubFile::parse("org/repo/folder/model.safetensors").unwrap();
        let downloader = Downloader::new(self.hub.clone(), self.patience);
        let target = self.target();
        downloader.fetch(&file, &target, &cancelled, &mut |progress| self.messages.push(progress))
    }

    /// The finished file is `data` and nothing lies beside it.
    fn holds(&self, data: &[u8]) {
        assert!(std::fs::read(self.target()).unwrap() == data, "other bytes arrived");
        assert_eq!(self.names(), ["model.safetensors"]);
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn part(&self) -> Option<u64> {
        let names = self.names();
        let name = names.iter().find(|name| name.ends_with(".part"))?;
        Some(std::fs::metadata(self.folder.path().join(name)).unwrap().len())
    }

    /// The download fails and says all of `words`; no file has the final name.
    fn refuses(&mut self, words: &[&str]) -> String {
        let said = self.run().expect_err("it should fail").to_string();
        for word in words {
            assert!(said.contains(word), "`{said}` does not say `{word}`");
        }
        assert!(!said.contains("secret"));
        assert!(!self.target().exists());
        said
    }
}

#[test]
fn a_file_arrives_whole_and_is_not_fetched_twice() {
    let server = Server::start(|request, stream| serve(request, stream, &data()));
    let mut pull = Pull::from(&server);
    assert!(pull.run().unwrap());
    pull.holds(&data());
    assert_eq!(
        pull.messages[0],
        Progress::Begun {
            total: Some(600_000),
            done: 0
        }
    );
    assert_eq!(pull.messages.last(), Some(&Progress::Bytes(600_000)));
    let get = &server.gets()[0];
    assert_eq!(get.path, "/org/repo/resolve/main/folder/model.safetensors");
    assert_eq!(get.header("authorization"), Some("Bearer secret"));
    assert_eq!(get.header("accept-encoding"), Some("identity"));
    assert!(!pull.run().unwrap(), "it is there");
    assert_eq!(server.gets().len(), 1);
    std::fs::write(pull.target(), "something else").unwrap();
    let said = pull.run().unwrap_err().to_string();
    assert!(said.contains("with 14 bytes, the hub's has 600000"), "{said}");
}

#[test]
fn cuts_are_resumed_where_they_were() {
    let server = Server::start(|request, stream| {
        if request.method == "HEAD" {
            return serve(request, stream, &data());
        }
        // Each answer ends 150,000 bytes in, whatever it announced.
        let (data, start) = (data(), request.start());
        let range = format!("bytes {start}-{}/{}", data.len() - 1, data.len());
        let length = (data.len() - start).to_string();
        head(
            stream,
            "206 Partial Content",
            &[("Content-Range", range), ("Content-Length", length)],
        )?;
        stream.write_all(&data[start..data.len().min(start + 150_000)])
    });
    let mut pull = Pull::from(&server);
    assert!(pull.run().unwrap());
    pull.holds(&data());
    let starts: Vec<usize> = server.gets().iter().map(Request::start).collect();
    assert_eq!(starts, [0, 150_000, 300_000, 450_000]);
    assert_eq!(
        pull.messages.iter().filter(|m| matches!(m, Progress::Retry(_))).count(),
        3
    );
}

#[test]
fn a_stall_ends_after_the_patience_and_what_arrived_is_kept() {
    let stalls = Arc::new(AtomicUsize::new(2));
    let server = Server::start(move |request, stream| {
        let data = data();
        let stall = stalls
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
            .is_ok();
        if request.method == "HEAD" || !stall {
            return serve(request, stream, &data);
        }
        head(stream, "200 OK", &[("Content-Length", data.len().to_string())])?;
        stream.write_all(&data[..100_000])?;
        std::thread::sleep(Duration::from_secs(3));
        Ok(())
    });
    let mut pull = Pull::from(&server);
    let begun = Instant::now();
    assert!(pull.run().unwrap());
    assert!(begun.elapsed() < Duration::from_secs(2));
    pull.holds(&data());
    assert_eq!(server.gets().last().unwrap().start(), 100_000);
}

#[test]
fn a_server_that_never_delivers_is_given_up_and_the_part_stays() {
    let server = Server::start(|request, stream| {
        if request.method == "HEAD" || request.start() == 0 {
            let data = data();
            head(
                stream,
                "200 OK",
                &[facts(&data), vec![("Content-Length", data.len().to_string())]].concat(),
            )?;
            return if request.method == "GET" {
                stream.write_all(&data[..1000])
            } else {
                Ok(())
            };
        }
        head(stream, "503 Service Unavailable", &[("Retry-After", "0".into())])
    });
    let mut pull = Pull::from(&server);
    pull.refuses(&["503", "gave up after 3 attempts", "goes on from 1000 bytes"]);
    assert_eq!(pull.part(), Some(1000));
    // Another server has the same version: the hash says so, and the rest is put behind the part.
    let well = Server::start(|request, stream| serve(request, stream, &data()));
    pull.hub = Hub::new(&well.url, None).unwrap();
    assert!(pull.run().unwrap());
    pull.holds(&data());
    assert_eq!(well.gets()[0].start(), 1000);
}

#[test]
fn stopping_keeps_the_part_and_says_how_to_go_on() {
    let server = Server::start(|request, stream| serve(request, stream, &data()));
    let mut pull = Pull::from(&server);
    let asked = AtomicUsize::new(0);
    let error = pull.run_until(|| asked.fetch_add(1, Ordering::SeqCst) > 2).unwrap_err();
    assert!(
        matches!(error, Error::Cancelled { done } if Some(done) == pull.part()),
        "{error}"
    );
    assert!(error.to_string().contains("the same command goes on"));
    assert!(pull.run().unwrap());
    pull.holds(&data());
}

#[test]
fn stopping_does_not_wait_for_a_stalled_server() {
    let server = Server::start(|request, stream| {
        if request.method == "HEAD" {
            return serve(request, stream, &data());
        }
        head(stream, "200 OK", &[("Content-Length", "600000".into())])?;
        stream.write_all(&data()[..1000])?;
        std::thread::sleep(Duration::from_secs(3));
        Ok(())
    });
    let mut pull = Pull::from(&server);
    pull.patience.stall = Duration::from_secs(2);
    let begun = Instant::now();
    let error = pull
        .run_until(|| begun.elapsed() > Duration::from_millis(200))
        .unwrap_err();
    assert!(matches!(error, Error::Cancelled { done: 1000 }), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_part_of_another_version_is_not_continued() {
    let old = Server::start(|request, stream| {
        let data = vec![7; 500_000];
        if request.method == "HEAD" {
            return serve(request, stream, &data);
        }
        head(stream, "200 OK", &[("Content-Length", data.len().to_string())])?;
        stream.write_all(&data[..1000])
    });
    let mut pull = Pull::from(&old);
    pull.refuses(&["gave up"]);
    let new = Server::start(|request, stream| serve(request, stream, &data()));
    pull.hub = Hub::new(&new.url, None).unwrap();
    assert!(pull.run().unwrap());
    assert!(std::fs::read(pull.target()).unwrap() == data());
    assert_eq!(new.gets()[0].start(), 0);
}

#[test]
fn the_token_does_not_follow_to_another_host() {
    let storage = Server::start(|request, stream| serve(request, stream, &data()));
    let there = storage.url.clone();
    let hub = Server::start(move |request, stream| {
        if request.path.starts_with("/org") {
            return head(stream, "307 Temporary Redirect", &[("Location", "/moved".into())]);
        }
        let location = ("Location", format!("{there}/blob?signed"));
        head(stream, "302 Found", &[facts(&data()), vec![location]].concat())
    });
    let mut pull = Pull::from(&hub);
    assert!(pull.run().unwrap());
    pull.holds(&data());
    assert!(
        hub.requests()
            .iter()
            .all(|r| r.header("authorization") == Some("Bearer secret"))
    );
    assert!(storage.requests().iter().all(|r| r.header("authorization").is_none()));
    assert_eq!(storage.requests().len(), 1, "size and hash came from the hub");
}

#[test]
fn redirects_that_lead_nowhere_are_refused() {
    for (location, word) in [
        ("/loop", "leads in circles"),
        ("file:///etc/passwd", "not followed"),
        ("", "redirects to None"),
    ] {
        let server = Server::start(move |_, stream| {
            // An empty header is none.
            let headers: &[_] = &[("Location", location.to_owned())];
            head(stream, "302 Found", if location.is_empty() { &[] } else { headers })
        });
        Pull::from(&server).refuses(&[word]);
    }
}

#[test]
fn wrong_bytes_are_thrown_away() {
    let server = Server::start(|request, stream| {
        let data = data();
        if request.method == "HEAD" {
            return serve(request, stream, &data);
        }
        head(stream, "200 OK", &[("Content-Length", data.len().to_string())])?;
        stream.write_all(&vec![0; data.len()])
    });
    let mut pull = Pull::from(&server);
    pull.refuses(&["SHA-256", &sha256(&data()), &sha256(&vec![0; 600_000])]);
    assert_eq!(pull.part(), None);
}

#[test]
fn lies_about_length_are_noticed() {
    // More bytes than announced, without a length in the answer itself.
    let server = Server::start(|request, stream| {
        let data = data();
        if request.method == "HEAD" {
            return serve(request, stream, &data);
        }
        head(stream, "200 OK", &[])?;
        stream.write_all(&data)?;
        stream.write_all(&data)
    });
    Pull::from(&server).refuses(&["more bytes than it announced"]);
    let server = Server::start(|request, stream| {
        let data = data();
        if request.method == "HEAD" {
            return serve(request, stream, &data);
        }
        head(stream, "200 OK", &[("Content-Length", "5".into())])?;
        stream.write_all(&data[..5])
    });
    Pull::from(&server).refuses(&["5 bytes where 600000 were announced"]);
}

#[test]
fn lies_about_ranges_are_noticed() {
    for (range, word) in [
        (
            "bytes 0-9/600000",
            "asked for the bytes from 1000 on, it sends those from 0 on",
        ),
        ("bytes 1000-/12", "a file of 12 bytes where 600000"),
        ("lines 3", "without saying which"),
    ] {
        let server = Server::start(
            move |request, stream| match (request.method.as_str(), request.start()) {
                ("HEAD", _) => serve(request, stream, &data()),
                (_, 0) => {
                    head(stream, "200 OK", &[("Content-Length", "600000".into())])?;
                    stream.write_all(&data()[..1000])
                }
                _ => head(stream, "206 Partial Content", &[("Content-Range", range.into())]),
            },
        );
        Pull::from(&server).refuses(&[word]);
    }
}

#[test]
fn servers_without_ranges_start_again() {
    // Once by ignoring the range, once by refusing it.
    for refuse in [false, true] {
        let cuts = AtomicUsize::new(1);
        let server = Server::start(move |request, stream| {
            let data = data();
            if request.method == "HEAD" {
                return serve(request, stream, &data);
            }
            if refuse && request.start() > 0 {
                return head(stream, "416 Range Not Satisfiable", &[]);
            }
            let cut = cuts
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
                .is_ok();
            head(stream, "200 OK", &[("Content-Length", data.len().to_string())])?;
            stream.write_all(if cut { &data[..1000] } else { &data })
        });
        let mut pull = Pull::from(&server);
        assert!(pull.run().unwrap());
        pull.holds(&data());
    }
}

#[test]
fn files_without_a_hash_resume_on_the_condition_of_their_tag() {
    let cuts = AtomicUsize::new(1);
    let server = Server::start(move |request, stream| {
        let data = data();
        let tag = ("ETag", "\"v1\"".to_owned());
        if request.method == "HEAD" {
            return head(stream, "200 OK", &[tag, ("Content-Length", data.len().to_string())]);
        }
        if request.start() > 0 {
            assert_eq!(request.header("if-range"), Some("\"v1\""));
            return serve(request, stream, &data);
        }
        let cut = cuts
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
            .is_ok();
        head(stream, "200 OK", &[tag, ("Content-Length", data.len().to_string())])?;
        stream.write_all(if cut { &data[..1000] } else { &data })
    });
    let mut pull = Pull::from(&server);
    assert!(pull.run().unwrap());
    pull.holds(&data());
    assert_eq!(server.gets().last().unwrap().start(), 1000);
}

#[test]
fn answers_that_are_no_file_say_what_to_do() {
    for (status, kind, words) in [
        ("401 Unauthorized", "", &["401", "accept its terms on its page"][..]),
        ("403 Forbidden", "", &["403", "accept its terms"]),
        ("404 Not Found", "", &["no such file", "spelling"]),
        ("418 I'm a teapot", "", &["418"]),
        ("500 Internal Server Error", "", &["500", "gave up after 3 attempts"]),
        ("200 OK", "text/html; charset=utf-8", &["a web page"]),
    ] {
        let server = Server::start(move |_, stream| head(stream, status, &[("Content-Type", kind.into())]));
        let mut pull = Pull::from(&server);
        pull.refuses(words);
        assert!(pull.names().is_empty(), "{status}: {:?}", pull.names());
    }
}

#[test]
fn a_server_that_is_not_there_is_given_up() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Server::start(|_, _| Ok(()));
    let mut pull = Pull::from(&server);
    pull.refuses(&["gave up"]);
    pull.hub = Hub::new(&format!("http://127.0.0.1:{port}"), None).unwrap();
    pull.refuses(&["gave up"]);
}

#[test]
fn a_second_process_does_not_write_the_same_part() {
    let server = Server::start(|request, stream| serve(request, stream, &data()));
    let mut pull = Pull::from(&server);
    let held = part::Part::open(&pull.target(), &sha256(&data()), &|| false).unwrap();
    pull.refuses(&["another process is downloading it"]);
    drop(held);
    assert!(pull.run().unwrap());
}

#[test]
fn what_cannot_fit_is_not_begun() {
    let server = Server::start(|_, stream| {
        head(
            stream,
            "200 OK",
            &[
                ("X-Linked-Size", u64::MAX.to_string()),
                ("X-Linked-Etag", format!("\"{}\"", "0".repeat(64))),
            ],
        )
    });
    let mut pull = Pull::from(&server);
    pull.refuses(&["bytes are needed and", "are free"]);
    assert!(server.gets().is_empty() && pull.names().is_empty());
    let missing = Path::new("/nowhere/at/all/model.safetensors");
    assert!(part::Part::open(missing, "", &|| false).is_err());
}
