internal import RoostModel
internal import RoostNode
internal import RoostProtocol

/// What became of one message at one device.
struct MessageFate: Sendable {
    let user: UserID
    let device: DeviceID
    /// The last seq the device acknowledged in the conversation, as far as it is committed.
    let cursor: UInt64?
    let acknowledged: Bool
    let session: PresenceView?
    /// One line for people.
    let explanation: String

    init(_ location: MessageLocation, device record: DeviceRecord, online: [PresenceView]) {
        user = record.user
        device = record.device
        let cursor = location.cursors.first { $0.user == record.user && $0.device == record.device }?.seq
        let session = online.first { $0.user == record.user && $0.device == record.device }
        let isOrigin = record.user == location.sender && record.device == location.originDevice
        self.cursor = cursor
        self.session = session
        acknowledged = (cursor ?? 0) >= location.seq
        explanation =
            if isOrigin {
                "sent it, and is not sent its own"
            } else if acknowledged {
                "acknowledged: its cursor is at \(cursor ?? 0)"
            } else if cursor == nil, record.startAt > location.sentAt {
                "appeared later and asked only for what was sent from then on"
            } else if let session {
                "connected to \(session.node): on its way, waiting in a full window, or not yet acknowledged"
            } else {
                "not connected: gets it when it connects"
            }
    }
}
