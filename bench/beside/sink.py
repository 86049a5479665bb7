"""A mail server on loopback that takes every mail and keeps none. Prints its port, and runs until it is ended."""

import asyncio


async def serve(reader, writer):
    writer.write(b"220 sink\r\n")
    body = False
    while line := await reader.readline():
        if body:
            if line == b".\r\n":
                body = False
                writer.write(b"250 taken\r\n")
            continue
        word = line[:4].upper()
        if word == b"EHLO":
            writer.write(b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
        elif word == b"DATA":
            body = True
            writer.write(b"354 go on\r\n")
        elif word == b"QUIT":
            writer.write(b"221 bye\r\n")
            break
        else:
            writer.write(b"250 fine\r\n")
    writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
