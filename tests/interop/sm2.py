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


# Points are (x, y, z) and stand for (x / z², y / z³): no inverse is needed until the end. z is 0 at infinity.


def double(point):
    x, y, z = point
    if not z:
        return point
    square = y * y % P
    s, m = 4 * x * square % P, 3 * (x - z * z) * (x + z * z) % P  # A is -3
    x3 = (m * m - 2 * s) % P
    return x3, (m * (s - x3) - 8 * square * square) % P, 2 * y * z % P


def add(a, b):
    if not a[2] or not b[2]:
        return a if a[2] else b
    za, zb = a[2] * a[2] % P, b[2] * b[2] % P
    ua, ub, sa, sb = a[0] * zb % P, b[0] * za % P, a[1] * zb * b[2] % P, b[1] * za * a[2] % P
    if ua == ub:
        return double(a) if sa == sb else (1, 1, 0)
    h, r = (ub - ua) % P, (sb - sa) % P
    hh = h * h % P
    v, hhh = ua * hh % P, hh * h % P
    x3 = (r * r - hhh - 2 * v) % P
    return x3, (r * (v - x3) - sa * hhh) % P, h * a[2] * b[2] % P


def times(k, point):
    result = (1, 1, 0)
    for bit in bin(k)[2:]:
        result = double(result)
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
    x, _, z = add(times(s, (*G, 1)), times(t, (number(raw[:32]), number(raw[32:]), 1)))
    return z != 0 and (e + x * pow(z * z, -1, P) % P) % N == r


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
