"""What connections cost a node of this machine.

handshakes.py held PORT PID NUMBER hello|large|silent|chain [CERTIFICATES KEY]
    holds so many connections in the midst of TLS' handshake and looks at the node's resident memory: after a ClientHello, in
    a ClientHello of 16 KiB, before the first byte, or a kilobyte before the end of a second flight with these certificates
handshakes.py served PORT PID NUMBER plain|tls
    makes so many connections, one after the other, each with one call, and looks at the node's processor time
"""

import os
import socket
import ssl
import sys
import time


def resident(pid):
    with open(f"/proc/{pid}/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def processor(pid):
    with open(f"/proc/{pid}/stat") as text:
        fields = text.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def context(files=()):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    if files:
        made.load_cert_chain(*files)
    return made


def dial(port):
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def begin(port, kind, tls):
    connection = dial(port)
    if kind == "silent":
        return connection
    if kind == "large":
        hello = b"\x01" + (16_380).to_bytes(3, "big") + b"\x03\x03" + bytes(16_373)
        connection.sendall(b"\x16\x03\x01" + len(hello).to_bytes(2, "big") + hello)
        return connection
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    end = tls.wrap_bio(received, sent)
    while True:
        try:
            end.do_handshake()
            break
        except ssl.SSLWantReadError:
            connection.sendall(sent.read())
            if kind == "hello":
                return connection
            received.write(connection.recv(65_536))
    connection.sendall(sent.read()[:-1_000])
    return connection


def held(port, pid, number, kind, *files):
    tls = context(files)
    before = resident(pid)
    connections = [begin(port, kind, tls) for _ in range(number)]
    time.sleep(0.5)
    after = resident(pid)
    print(f"{kind}: {before} kB, then {after} kB: {(after - before) / number:.1f} kB each of {len(connections)}")


def served(port, pid, number, kind):
    def call():
        connection = dial(port)
        if kind == "tls":
            connection = context().wrap_socket(connection)
        connection.sendall(b"GET /api/nothing HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        while connection.recv(65_536):
            pass
        connection.close()

    for _ in range(50):
        call()
    before = processor(pid)
    for _ in range(number):
        call()
    print(f"{kind}: {(processor(pid) - before) / number * 1e6:.0f} µs each of {number}")


if __name__ == "__main__":
    if len(sys.argv) < 6 or sys.argv[1] not in ("held", "served"):
        sys.exit(__doc__)
    run = held if sys.argv[1] == "held" else served
    run(int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), *sys.argv[5:])
