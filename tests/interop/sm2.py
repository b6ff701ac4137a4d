"""SM2 signatures (GB/T 32918.2 with the curve of GB/T 32918.5) checked in plain Python, slowly; SM3 comes with hashlib."""
import hashlib

P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
A = P - 3
B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
G = (0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
     0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0)
ID = b"1234567812345678"


def sm3(*parts):
    return hashlib.new("sm3", b"".join(parts)).digest()


def number(data):
    return int.from_bytes(data, "big")


def add(a, b):
    """Of points; None is the one at infinity."""
    if a is None or b is None:
        return a or b
    if a[0] == b[0] and (a[1] + b[1]) % P == 0:
        return None
    slope = (3 * a[0] * a[0] + A) * pow(2 * a[1], -1, P) if a == b else (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def times(k, point):
    result = None
    for bit in bin(k)[2:]:
        result = add(result, result)
        if bit == "1":
            result = add(result, point)
    return result


def usable(raw):
    """x ‖ y of a point on the curve; its order is prime."""
    if len(raw) != 64:
        return False
    x, y = number(raw[:32]), number(raw[32:])
    return x < P and y < P and (y * y - (x * x * x + A * x + B)) % P == 0


def signed(raw, signature, message):
    """@signature: r ‖ s."""
    if len(signature) != 64 or not usable(raw):
        return False
    constants = b"".join(value.to_bytes(32, "big") for value in (A, B, *G))
    z = sm3((8 * len(ID)).to_bytes(2, "big"), ID, constants, raw)
    e, r, s = number(sm3(z, message)), number(signature[:32]), number(signature[32:])
    t = (r + s) % N
    if not (0 < r < N and 0 < s < N and t):
        return False
    point = add(times(s, G), times(t, (number(raw[:32]), number(raw[32:]))))
    return point is not None and (e + point[0]) % N == r


def from_der(der):
    """r ‖ s of the form that certificates have: SEQUENCE { r INTEGER, s INTEGER }; empty when it is not."""
    numbers, rest = [], der[2:]
    if der[:1] != b"\x30" or len(der) != 2 + der[1]:
        return b""
    while rest:
        size = rest[1] if len(rest) > 1 else 0
        if rest[:1] != b"\x02" or not 1 <= size <= 33 or len(rest) < 2 + size:
            return b""
        numbers.append(number(rest[2:2 + size]))
        rest = rest[2 + size:]
    return b"".join(value.to_bytes(32, "big") for value in numbers) if len(numbers) == 2 and max(numbers) < 1 << 256 else b""
