import RoostCluster
import RoostModel
import RoostProtocol

/// One user with sessions here: which of his devices are connected. A device has at most one live session.
actor User {
    nonisolated let context: NodeContext
    nonisolated let id: UserID
    nonisolated var unownedExecutor: UnownedSerialExecutor { context.executor.asUnownedSerialExecutor() }

    /// Messages of all his devices here.
    private var messages = TokenBucket()

    /// In the order they came.
    private(set) var devices: [Device] = []

    init(id: UserID, context: NodeContext) {
        self.id = id
        self.context = context
    }

    /// Takes a session in. An older one of the same device ends with 4409; false where the one that came is the older.
    func admit(_ device: Device) -> Bool {
        if let other = devices.first(where: { $0.request.device == device.request.device }) {
            guard other.generation < device.generation else { return false }
            // First the newer: a user without devices is forgotten by the node.
            devices.append(device)
            replaced(other)
        } else {
            devices.append(device)
        }
        return true
    }

    /// Removes a session; true where it was the last.
    func remove(_ device: Device) -> Bool {
        devices.removeAll { $0 === device }
        return devices.isEmpty
    }

    /// A newer session of the device is known, here or elsewhere.
    func replace(_ device: DeviceID, newer generation: Generation) {
        guard let old = devices.first(where: { $0.request.device == device }), old.generation < generation else {
            return
        }
        replaced(old)
    }

    private func replaced(_ old: Device) {
        context.counters.sessionsReplaced.increment()
        old.onCore { $0.close(code: 4409, reason: "replaced by a newer session of this device") }
    }

    /// Nanoseconds until his devices here may send one more; nil: at once.
    func takeMessage(_ limit: RateLimit, now: UInt64) -> UInt64? { messages.take(limit, now: now) }

    func judge(_ revocations: TokenRevocations) {
        for device in devices { device.onCore { $0.judge(revocations) } }
    }

    func close(code: UInt16, reason: String) {
        for device in devices { device.onCore { $0.close(code: code, reason: reason) } }
    }
}
