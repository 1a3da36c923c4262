internal import NIOCore
public import RoostModel

/// The knobs of `cluster.json` that decide entries, as the leader had them when it proposed one.
public struct CommandLimits: Sendable, Equatable {
    /// Current members of a group or channel.
    public var members: UInt32
    /// Of the whole cluster.
    public var conversationsPerUser: UInt32
    public var devicesPerUser: UInt32
    /// Microseconds after which a device that was not seen may be given up.
    public var deviceExpiry: Int64
    public init(members: UInt32, conversationsPerUser: UInt32, devicesPerUser: UInt32, deviceExpiry: Int64) {
        self.members = members
        self.conversationsPerUser = conversationsPerUser
        self.devicesPerUser = devicesPerUser
        self.deviceExpiry = deviceExpiry
    }
}

/// A device as it was last seen.
public struct DeviceSighting: Sendable, Equatable {
    public var user: UserID
    public var device: DeviceID
    /// Microseconds since 1970, by the log. In `forgetDevices` one seen later stays; `Int64.max` means in any case.
    public var seenAt: Int64
    public init(user: UserID, device: DeviceID, seenAt: Int64) {
        self.user = user
        self.device = device
        self.seenAt = seenAt
    }
}

extension CommandLimits: WireValue {
    static var minimumSize: Int { 11 }

    func encode(into buffer: inout ByteBuffer) {
        buffer.writeVarint(members)
        buffer.writeVarint(conversationsPerUser)
        buffer.writeVarint(devicesPerUser)
        buffer.writeInteger(deviceExpiry)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(
            members: try UInt32(reading: &buffer), conversationsPerUser: try UInt32(reading: &buffer),
            devicesPerUser: try UInt32(reading: &buffer), deviceExpiry: try buffer.readFixed())
    }
}

extension DeviceSighting: WireValue {
    static var minimumSize: Int { 26 }

    func encode(into buffer: inout ByteBuffer) {
        buffer.writeID(user)
        buffer.writeDevice(device)
        buffer.writeInteger(seenAt)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(user: try buffer.readID(), device: try buffer.readDevice(), seenAt: try buffer.readFixed())
    }
}
