//! Clients that speak HTTP/2, and gRPC over it.

use crate::support::clients::{Client, Done, Way, python};
use crate::support::http2::{Http2Origin, Said, send};
use crate::support::secrets::github_token;
use crate::support::*;
use http::{HeaderMap, HeaderValue, Response};

fn world(origin: &Http2Origin) -> World {
    World::start(Setup::new().connect("**", &origin.address.to_string()))
}

fn echo() -> Http2Origin {
    Http2Origin::answering(|got| Said::ok(format!("{} {}\n", got.method, got.body.len())))
}

#[track_caller]
fn assert_spoke_http2(world: World, count: usize) {
    let records = world.into_records();
    let requests = records.requests();
    assert_eq!(requests.len(), count, "{records:#?}");
    for request in requests {
        assert_eq!((request.verdict(), request.text("/upstream/tls/alpn")), ("allowed", Some("h2")), "{request:?}");
    }
}

#[test]
fn curl_speaks_http2_through_interception() {
    let origin = echo();
    let world = world(&origin);
    let body = vec![b'x'; 300_000];
    std::fs::write(world.path("body"), &body).unwrap();
    let arguments = ["-sS", "--http2", "-w", "%{http_version}\n", "--data-binary", "@body", "https://h2.exeat.test/up"];
    let done = Client::behind("curl", &world, Way::Intercepted).args(arguments).run().ok();
    assert_eq!(done.stdout, "POST 300000\n2\n");
    let parallel = ["-sS", "--http2", "--parallel", "https://h2.exeat.test/[1-20]"];
    let done = Client::behind("curl", &world, Way::Intercepted).args(parallel).run().ok();
    assert_eq!(done.stdout.matches("GET 0\n").count(), 20);
    assert_spoke_http2(world, 21);
}

#[test]
fn httpx_speaks_http2_through_interception() {
    let origin = echo();
    let world = world(&origin);
    let script = "
import httpx
with httpx.Client(http2=True) as c:
    r = c.post('https://h2.exeat.test/up', content=b'x' * 100000)
    print(r.http_version, r.text, end='')
    print(c.get('https://h2.exeat.test/').text, end='')
";
    let done = Client::behind(python(), &world, Way::Intercepted).args(["-c", script]).run().ok();
    assert_eq!(done.stdout, "HTTP/2 POST 100000\nGET 0\n");
    assert_spoke_http2(world, 2);
}

#[test]
fn node_speaks_http2_through_a_tunnel_of_its_own() {
    let origin = echo();
    let world = world(&origin);
    let script = "
const http = require('http'), tls = require('tls'), http2 = require('http2');
const proxy = new URL(process.env.https_proxy);
const auth = 'Basic ' + Buffer.from(`${proxy.username}:${proxy.password}`).toString('base64');
const connect = http.request({ host: proxy.hostname, port: proxy.port, method: 'CONNECT', path: 'h2.exeat.test:443',
    headers: { 'Proxy-Authorization': auth } });
connect.on('connect', (_, socket) => {
    const secure = tls.connect({ socket, servername: 'h2.exeat.test', ALPNProtocols: ['h2'] });
    const session = http2.connect('https://h2.exeat.test', { createConnection: () => secure });
    const stream = session.request({ ':method': 'POST', ':path': '/up' });
    stream.on('response', headers => process.stdout.write(headers[':status'] + ' '));
    stream.pipe(process.stdout);
    stream.on('end', () => session.close());
    stream.end('hello');
});
connect.end();
";
    let done = Client::behind("node", &world, Way::Intercepted).args(["-e", script]).run().ok();
    assert_eq!(done.stdout, "200 POST 5\n");
    assert_spoke_http2(world, 1);
}

/// Echoes messages as they come; says NOT_FOUND for `/svc/Missing`, in trailers only, and nothing for `/svc/Hang`.
fn grpc() -> Http2Origin {
    Http2Origin::raw(|(request, mut respond)| {
        Box::pin(async move {
            let path = request.uri().path().to_owned();
            let kind = |response: http::response::Builder| response.header("content-type", "application/grpc");
            if path == "/svc/Missing" {
                let answer = kind(Response::builder()).header("grpc-status", "5").body(()).unwrap();
                let _ = respond.send_response(answer, true);
                return;
            }
            let mut body = request.into_body();
            if path == "/svc/Hang" {
                let _ = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
                return;
            }
            let answer = kind(Response::builder()).body(()).unwrap();
            let Ok(mut out) = respond.send_response(answer, false) else { return };
            while let Some(Ok(data)) = body.data().await {
                let _ = body.flow_control().release_capacity(data.len());
                if send(&mut out, data).await.is_err() {
                    return;
                }
            }
            let status = [("grpc-status".parse().unwrap(), HeaderValue::from_static("0"))];
            let _ = out.send_trailers(status.into_iter().collect::<HeaderMap>());
        })
    })
}

fn run_grpc(world: &World, script: &str) -> Done {
    let head = "
import grpc, os, queue, sys
trust = grpc.ssl_channel_credentials(open(os.environ['SSL_CERT_FILE'], 'rb').read())
channel = grpc.secure_channel('h2.exeat.test:443', trust)
same = dict(request_serializer=lambda b: b, response_deserializer=lambda b: b)
unary = lambda name: channel.unary_unary('/svc/' + name, **same)
";
    Client::behind(python(), world, Way::Intercepted).args(["-c", &format!("{head}{script}")]).run().ok()
}

#[test]
fn grpc_calls_of_every_shape_pass() {
    let origin = grpc();
    let world = world(&origin);
    let script = "
print(unary('Echo')(b'hello', timeout=20))
print([*channel.unary_stream('/svc/Echo', **same)(b'one', timeout=20)])
print(channel.stream_unary('/svc/Echo', **same)(iter([b'two']), timeout=20))
asked = queue.Queue()
answers = channel.stream_stream('/svc/Echo', **same)(iter(asked.get, None), timeout=20)
for number in range(5):
    asked.put(b'message %d' % number)
    print(next(answers))
asked.put(None)
print([*answers])
print(unary('Echo')(b'x' * 3000000, timeout=20) == b'x' * 3000000)
for name in ['Missing', 'Hang']:
    try:
        unary(name)(b'', timeout=2)
    except grpc.RpcError as error:
        print(error.code())
";
    let expected = "b'hello'\n[b'one']\nb'two'\n\
        b'message 0'\nb'message 1'\nb'message 2'\nb'message 3'\nb'message 4'\n[]\nTrue\n\
        StatusCode.NOT_FOUND\nStatusCode.DEADLINE_EXCEEDED\n";
    assert_eq!(run_grpc(&world, script).stdout, expected);
}

#[test]
fn grpc_is_told_that_a_message_with_a_secret_is_refused() {
    let origin = grpc();
    let world = world(&origin);
    let secret = github_token();
    let script = format!(
        "
for compression in [grpc.Compression.NoCompression, grpc.Compression.Gzip]:
    try:
        unary('Echo')(b'\\x0a\\x28{secret}', timeout=20, compression=compression)
    except grpc.RpcError as error:
        print(error.code())
asked = queue.Queue()
answers = channel.stream_stream('/svc/Echo', **same)(iter(asked.get, None), timeout=20)
asked.put(b'first')
print(next(answers))
asked.put(b'{secret}')
try:
    next(answers)
except grpc.RpcError as error:
    print(error.code())
"
    );
    let done = run_grpc(&world, &script);
    let lines: Vec<&str> = done.stdout.lines().collect();
    assert_eq!(lines[..3], ["StatusCode.PERMISSION_DENIED", "StatusCode.PERMISSION_DENIED", "b'first'"], "{done:?}");
    assert!(lines[3].starts_with("StatusCode."), "{done:?}");
    let records = world.into_records();
    assert_eq!(records.iter().filter(|record| record.reason() == "secret_in_request").count(), 3, "{records:#?}");
    assert!(!format!("{records:?}").contains(&secret));
}
