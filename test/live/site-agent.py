"""Serves and talks inside one namespace of a routed site: a JSON command a line on stdin, its result a line on stdout.

TCP port 80 answers each line `N …` with N bytes, and closes first where the line says `close`. UDP ports 7 and 5000 echo.
"""

import json
import socket
import struct
import sys
import threading
import time

kept = {}


def family(ip):
    return socket.AF_INET6 if ':' in ip else socket.AF_INET


def read(connection, count):
    left = count
    while left > 0:
        part = connection.recv(left)
        if not part:
            raise EOFError(f'{left} of {count} bytes did not come')
        left -= len(part)


def answer(connection):
    with connection, connection.makefile('rb') as lines:
        for line in lines:
            words = line.split()
            connection.sendall(b'x' * int(words[0]))
            if b'close' in words:
                break


def accept(listener):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def echo(endpoint):
    while True:
        payload, client = endpoint.recvfrom(65535)
        endpoint.sendto(payload, client)


def serve():
    listener = socket.create_server(('::', 80), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
    threading.Thread(target=accept, args=(listener,), daemon=True).start()
    # By address: an answer out of a socket for all addresses may have another source.
    for ip in sys.argv[1:]:
        for port in (7, 5000):
            endpoint = socket.socket(family(ip), socket.SOCK_DGRAM)
            endpoint.bind((ip, port))
            threading.Thread(target=echo, args=(endpoint,), daemon=True).start()


def connect(to, local=0, name='connection'):
    connection = socket.socket(family(to[0]), socket.SOCK_STREAM)
    connection.settimeout(5)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if local:
        connection.bind(('', local))
    try:
        connection.connect(tuple(to))
    except OSError as error:
        return str(error)
    kept[name] = connection


def ask(sizes, name='connection', last=''):
    """For each of `sizes`, asks for so many bytes and reads them; `last` goes with the last request."""
    for i, size in enumerate(sizes):
        word = last if i == len(sizes) - 1 else ''
        kept[name].sendall(f'{size} request {i} {word}\n'.encode())
        read(kept[name], size)


def close(name='connection'):
    """Ends a connection and waits for the other side's end."""
    connection = kept.pop(name)
    try:
        connection.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    connection.recv(1)
    connection.close()


def reset(name='connection'):
    connection = kept.pop(name)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    connection.close()


def tcp(to, local=0, sizes=(40, 900, 7), closes_first=False):
    """A whole connection: opened, used, closed by us or by the other side first."""
    failure = connect(to, local)
    if failure:
        return failure
    ask(sizes, last='close' if closes_first else '')
    if closes_first:
        read_end()
    else:
        close()


def read_end():
    connection = kept.pop('connection')
    if connection.recv(1):
        raise EOFError('no end')
    connection.close()


def udp(to, local=0, payloads=('question 1', 'question 2', 'the third question'), ttl=0, wait=True, whole=False, connected=False):
    """Sends datagrams, each once the one before was answered; returns the answers, or an error's text in place of one."""
    endpoint = socket.socket(family(to[0]), socket.SOCK_DGRAM)
    endpoint.settimeout(wait if wait is not True else 5)
    if local:
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        endpoint.bind(('', local))
    if ttl:
        endpoint.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
    if whole:
        # IP_MTU_DISCOVER, IP_PMTUDISC_PROBE: don't fragment, and take no router's word on the size.
        endpoint.setsockopt(socket.IPPROTO_IP, 10, 3)
    # IP_RECVERR and IPV6_RECVERR: errors also where nothing is connected.
    endpoint.setsockopt(*((socket.IPPROTO_IPV6, 25, 1) if ':' in to[0] else (socket.IPPROTO_IP, 11, 1)))
    if connected:
        # Then each datagram gets an Identification.
        endpoint.connect(tuple(to))
    answers = []
    for payload in payloads:
        data = payload.encode() if isinstance(payload, str) else b'y' * payload
        try:
            endpoint.sendto(data, tuple(to))
            answers.append(len(endpoint.recv(65535)) if wait else None)
        except OSError as error:
            answers.append(str(error))
    endpoint.close()
    return answers


def checksum(data):
    total = sum(struct.unpack(f'!{len(data) // 2}H', data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ping(to, id, count=3, ttl=0, wait=5):
    """Echo requests with this identifier, each once the one before was answered; says for which an answer came."""
    is6 = ':' in to
    protocol = socket.IPPROTO_ICMPV6 if is6 else socket.IPPROTO_ICMP
    endpoint = socket.socket(family(to), socket.SOCK_RAW, protocol)
    if ttl:
        endpoint.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
    answers = []
    for seq in range(1, count + 1):
        body = b'abcdefgh' * 7
        message = struct.pack('!BBHHH', 128 if is6 else 8, 0, 0, id, seq) + body
        if not is6:
            message = message[:2] + struct.pack('!H', checksum(message)) + message[4:]
        endpoint.sendto(message, (to, 0))
        answers.append(answered(endpoint, is6, id, seq, wait))
    endpoint.close()
    return answers


def answered(endpoint, is6, id, seq, wait):
    deadline = time.monotonic() + wait
    while time.monotonic() < deadline:
        endpoint.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            data = endpoint.recv(65535)
        except TimeoutError:
            return False
        at = 0 if is6 else (data[0] & 15) * 4
        kind, _, _, its_id, its_seq = struct.unpack('!BBHHH', data[at : at + 8])
        if kind == (129 if is6 else 0) and (its_id, its_seq) == (id, seq):
            return True
    return False


serve()
print('"ready"', flush=True)
for line in sys.stdin:
    command, arguments = json.loads(line)
    try:
        result = {'value': globals()[command](**arguments)}
    except Exception as error:
        result = {'error': f'{command} {arguments}: {error!r}'}
    print(json.dumps(result), flush=True)
