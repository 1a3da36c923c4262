public import NIOCore
public import RoostModel

/// A token as the log knows it.
public struct TokenStamp: Sendable, Equatable {
    /// Its `jti`.
    public var id: UUID128
    /// The account's generation when it was issued: what is revoked later has a higher one.
    public var generation: UInt64
    /// UNIX seconds.
    public var expires: Int64
    public init(id: UUID128, generation: UInt64, expires: Int64) {
        self.id = id
        self.generation = generation
        self.expires = expires
    }
}

/// Which tokens of an account are refused. No clock decides that: each revocation is a generation, and a token carries the
/// one that it was issued in.
public struct TokenRevocations: Sendable, Equatable {
    /// Tokens, and devices, that are remembered one by one; beyond it everything as old as the oldest is refused.
    public static let capacity = 64

    public struct Device: Sendable, Equatable {
        public var device: DeviceID
        /// Tokens of earlier generations may not speak for it.
        public var generation: UInt64
        public init(device: DeviceID, generation: UInt64) {
            self.device = device
            self.generation = generation
        }
    }

    /// Of tokens that are issued now.
    public private(set) var generation: UInt64 = 0
    /// Tokens of earlier generations are refused.
    public private(set) var floor: UInt64 = 0
    /// Ascending by generation.
    public private(set) var tokens: [TokenStamp] = []
    /// Ascending by generation.
    public private(set) var devices: [Device] = []

    public init() {}

    public var isEmpty: Bool { generation == 0 }

    /// - Parameter device: for which the token speaks, or would.
    public func permits(_ token: TokenStamp, on device: DeviceID?) -> Bool {
        guard token.generation >= floor, !tokens.contains(where: { $0.id == token.id }) else { return false }
        guard let device, let removed = devices.first(where: { $0.device == device }) else { return true }
        return token.generation >= removed.generation
    }

    /// - Parameter now: UNIX seconds; what has expired by then is forgotten.
    public mutating func revoke(_ token: TokenStamp, now: Int64) {
        begin(now)
        refuse(token, now)
        settle()
    }

    /// All tokens issued so far.
    public mutating func revokeAll() {
        generation += 1
        floor = generation
        tokens = []
        devices = []
    }

    /// The device's own tokens, and that any other issued so far speaks for it.
    public mutating func remove(_ device: DeviceID, _ used: DeviceTokens, keeping kept: UUID128?, now: Int64) {
        begin(now)
        devices.removeAll { $0.device == device }
        devices.append(Device(device: device, generation: generation))
        for token in used.recent where token.id != kept { refuse(token, now) }
        // It had more tokens than are known: which, nobody can say.
        if used.forgottenUntil > now { raise(to: generation) }
        settle()
    }

    private mutating func begin(_ now: Int64) {
        generation += 1
        tokens.removeAll { $0.expires <= now }
    }

    private mutating func refuse(_ token: TokenStamp, _ now: Int64) {
        guard token.expires > now, token.generation >= floor, !tokens.contains(where: { $0.id == token.id }) else {
            return
        }
        let place = tokens.firstIndex { $0.generation > token.generation } ?? tokens.endIndex
        tokens.insert(token, at: place)
    }

    private mutating func settle() {
        while tokens.count > Self.capacity { raise(to: tokens[0].generation + 1) }
        while devices.count > Self.capacity { raise(to: devices[0].generation) }
        generation = max(generation, floor)
    }

    private mutating func raise(to generation: UInt64) {
        floor = max(floor, generation)
        let lowest = floor
        tokens.removeAll { $0.generation < lowest }
        devices.removeAll { $0.generation <= lowest }
    }
}

/// The tokens that a device has shown, so that they end with it.
public struct DeviceTokens: Sendable, Equatable {
    public static let capacity = 16

    /// Oldest first.
    public private(set) var recent: [TokenStamp] = []
    /// There were more; the last of those expires then, UNIX seconds.
    public private(set) var forgottenUntil: Int64 = 0

    public init() {}

    public var isEmpty: Bool { recent.isEmpty && forgottenUntil == 0 }

    public func contains(_ id: UUID128) -> Bool { recent.contains { $0.id == id } }

    /// False where it was known. `now` in UNIX seconds.
    public mutating func note(_ token: TokenStamp, now: Int64) -> Bool {
        guard !contains(token.id) else { return false }
        recent.removeAll { $0.expires <= now }
        if forgottenUntil <= now { forgottenUntil = 0 }
        recent.append(token)
        while recent.count > Self.capacity { forgottenUntil = max(forgottenUntil, recent.removeFirst().expires) }
        return true
    }
}

/// What ends.
public enum TokenRevocation: Sendable, Equatable {
    case token(TokenStamp)
    /// A device with its session, its tokens and its cursors. The token that asks for it is spared where others show it, too.
    case device(DeviceID, keeping: UUID128?)
    case all
}

/// What a node has to know to end sessions of a user.
public struct UserRevocations: Sendable, Equatable {
    public var user: UserID
    public var revocations: TokenRevocations
    public init(user: UserID, revocations: TokenRevocations) {
        self.user = user
        self.revocations = revocations
    }
}

extension TokenStamp: WireValue {
    static var minimumSize: Int { 25 }

    public func encode(into buffer: inout ByteBuffer) {
        buffer.writeUUID(id)
        buffer.writeVarint(generation)
        buffer.writeInteger(expires)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(id: try buffer.readUUID(), generation: try buffer.readVarint(), expires: try buffer.readFixed())
    }
}

extension TokenRevocations.Device: WireValue {
    static var minimumSize: Int { 3 }

    func encode(into buffer: inout ByteBuffer) {
        buffer.writeDevice(device)
        buffer.writeVarint(generation)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(device: try buffer.readDevice(), generation: try buffer.readVarint())
    }
}

extension TokenRevocations: WireValue {
    static var minimumSize: Int { 4 }

    public func encode(into buffer: inout ByteBuffer) {
        buffer.writeVarint(generation)
        buffer.writeVarint(floor)
        buffer.writeArray(tokens)
        buffer.writeArray(devices)
    }

    public init(decoding buffer: inout ByteBuffer) throws(PeerCodecError) { self = try buffer.readWhole() }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        generation = try buffer.readVarint()
        floor = try buffer.readVarint()
        tokens = try buffer.readArray()
        devices = try buffer.readArray()
        guard tokens.count <= Self.capacity, devices.count <= Self.capacity, floor <= generation else {
            throw .invalid("revocations")
        }
    }
}

extension DeviceTokens: WireValue {
    static var minimumSize: Int { 9 }

    public func encode(into buffer: inout ByteBuffer) {
        buffer.writeArray(recent)
        buffer.writeInteger(forgottenUntil)
    }

    public init(decoding buffer: inout ByteBuffer) throws(PeerCodecError) { self = try buffer.readWhole() }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        recent = try buffer.readArray()
        forgottenUntil = try buffer.readFixed()
        guard recent.count <= Self.capacity else { throw .invalid("device tokens") }
    }
}

extension UserRevocations: WireValue {
    static var minimumSize: Int { 20 }

    func encode(into buffer: inout ByteBuffer) {
        buffer.writeID(user)
        revocations.encode(into: &buffer)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(user: try buffer.readID(), revocations: try TokenRevocations(reading: &buffer))
    }
}

private enum RevocationTag: UInt8 {
    case token = 1
    case device = 2
    case all = 3
}

extension TokenRevocation: WireValue {
    static var minimumSize: Int { 1 }

    func encode(into buffer: inout ByteBuffer) {
        switch self {
        case .token(let token):
            buffer.writeByte(RevocationTag.token.rawValue)
            token.encode(into: &buffer)
        case .device(let device, let kept):
            buffer.writeByte(RevocationTag.device.rawValue)
            buffer.writeDevice(device)
            buffer.writeFlag(kept != nil)
            if let kept { buffer.writeUUID(kept) }
        case .all: buffer.writeByte(RevocationTag.all.rawValue)
        }
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        switch try buffer.readTag("revocation", as: RevocationTag.self) {
        case .token: self = .token(try TokenStamp(reading: &buffer))
        case .device:
            let device = try buffer.readDevice()
            self = .device(device, keeping: try buffer.readFlag("kept") ? try buffer.readUUID() : nil)
        case .all: self = .all
        }
    }
}
