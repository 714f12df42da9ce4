"""The Internet of the container, on the other end of a virtual cable: run in a network namespace, with the system's Python.

Name servers that tell every name's address, over UDP, TCP, TLS and HTTPS, and a web server that every name leads to, so that
whatever is not open is closed by the PC and by nothing else.  Nothing leaves these namespaces.
"""

import http.server
import socket
import socketserver
import ssl
import struct
import sys
import threading

DNS4, DNS6, DOH4, DOH6, WEB4, WEB6 = (
    "192.0.2.53",
    "2001:db8::53",
    "9.9.9.9",
    "2620:fe::fe",
    "192.0.2.80",
    "2001:db8::80",
)
A, AAAA = 1, 28


def answer(query: bytes) -> bytes:
    """Every name has the web server's addresses."""
    end = query.index(b"\0", 12) + 5
    kind = struct.unpack_from(">H", query, end - 4)[0]
    data = {A: socket.inet_pton(socket.AF_INET, WEB4), AAAA: socket.inet_pton(socket.AF_INET6, WEB6)}.get(kind)
    records = b"" if data is None else b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(data)) + data
    return query[:2] + struct.pack(">HHHHH", 0x8180, 1, 1 if records else 0, 0, 0) + query[12:end] + records


class Datagrams(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        data, line = self.request
        line.sendto(answer(data), self.client_address)


class Streams(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while size := self.rfile.read(2):
            found = answer(self.rfile.read(struct.unpack(">H", size)[0]))
            self.wfile.write(struct.pack(">H", len(found)) + found)
            self.wfile.flush()


class Web(http.server.BaseHTTPRequestHandler):
    """A page that says which host it is for, and DNS over HTTPS at /dns-query (RFC 8484, POST; HTTP/1.1 will do)."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._send(
            b"text/html", f"<html><title>REACHED</title><body>REACHED {self.headers['Host']}</body></html>".encode()
        )

    def do_POST(self) -> None:
        query = self.rfile.read(int(self.headers["Content-Length"]))
        self._send(b"application/dns-message", answer(query))

    def _send(self, kind: bytes, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind.decode())
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


def serve(kind: type, handler: type, address: str, port: int, tls: ssl.SSLContext | None = None) -> None:
    class Server(kind):  # type: ignore[misc]  # which server it is, the caller says
        address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        allow_reuse_address = daemon_threads = True

    server = Server((address, port), handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def main(certificate: str) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    for address in (DNS4, DNS6, DOH4, DOH6):
        serve(socketserver.ThreadingUDPServer, Datagrams, address, 53)
        serve(socketserver.ThreadingTCPServer, Streams, address, 53)
        serve(socketserver.ThreadingTCPServer, Streams, address, 853, tls)
        serve(http.server.ThreadingHTTPServer, Web, address, 443, tls)
    for address in (WEB4, WEB6):
        serve(http.server.ThreadingHTTPServer, Web, address, 80)
        serve(http.server.ThreadingHTTPServer, Web, address, 443, tls)
    print("ready", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1])
