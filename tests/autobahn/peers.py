"""What the Autobahn cases need around the gateway: an echo server, a client, and a shim that asks the gateway."""

import asyncio
import base64
import logging
import os
import sys

import websockets

GATEWAY, SHIM, ECHO = 9402, 9403, 9401
logging.disable(logging.CRITICAL)


async def echo_messages(socket):
    try:
        async for message in socket:
            await socket.send(message)
    except websockets.WebSocketException:
        pass


async def echo():
    async with websockets.serve(echo_messages, "127.0.0.1", ECHO, max_size=None, ping_interval=None):
        await asyncio.get_running_loop().create_future()


async def client():
    url, options = f"ws://127.0.0.1:{SHIM}", {"proxy": None, "max_size": None, "ping_interval": None}
    async with websockets.connect(f"{url}/getCaseCount", **options) as socket:
        count = int(await socket.recv())
    for case in range(1, count + 1):
        try:
            async with websockets.connect(f"{url}/runCase?case={case}&agent=exeat", **options) as socket:
                await echo_messages(socket)
        except websockets.WebSocketException:
            pass
    async with websockets.connect(f"{url}/updateReports?agent=exeat", **options):
        pass


async def copy(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        pass


async def ask(reader, writer):
    """Makes a request for a proxy of a handshake; what follows is passed on as it is."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return writer.close()
    line, *fields = head.strip().split(b"\r\n")
    method, target, version = line.split(b" ")
    credentials = base64.b64encode(b"dev:" + os.environ["EXEAT_TOKEN"].encode())
    host = b"ws.test:%d" % ECHO
    asked = [b"%s http://%s%s %s" % (method, host, target, version), b"Host: " + host]
    asked.append(b"Proxy-Authorization: Basic " + credentials)
    asked += [field for field in fields if not field.lower().startswith(b"host:")]
    gateway_reader, gateway_writer = await asyncio.open_connection("127.0.0.1", GATEWAY)
    gateway_writer.write(b"\r\n".join(asked) + b"\r\n\r\n")
    await asyncio.gather(copy(reader, gateway_writer), copy(gateway_reader, writer))
    gateway_writer.close()
    writer.close()


async def shim():
    server = await asyncio.start_server(ask, "127.0.0.1", SHIM)
    await server.serve_forever()


asyncio.run({"echo": echo, "client": client, "shim": shim}[sys.argv[1]]())
