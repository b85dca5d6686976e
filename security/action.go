package security

// Action is what a principal asks to do, by Mesos's own name and number (reference section 6.4).
type Action int

// The actions. A number that is missing here was retired by Mesos.
const (
	RegisterFramework            Action = 1
	RunTask                      Action = 2
	TeardownFramework            Action = 3
	ReserveResources             Action = 4
	UnreserveResources           Action = 5
	CreateVolume                 Action = 6
	DestroyVolume                Action = 7
	GetEndpointWithPath          Action = 8
	ViewRole                     Action = 9
	UpdateWeight                 Action = 10
	GetQuota                     Action = 11
	UpdateQuota                  Action = 12
	ViewFramework                Action = 13
	ViewTask                     Action = 14
	ViewExecutor                 Action = 15
	AccessSandbox                Action = 16
	AccessMesosLog               Action = 17
	ViewFlags                    Action = 18
	LaunchNestedContainer        Action = 19
	KillNestedContainer          Action = 20
	WaitNestedContainer          Action = 21
	LaunchNestedContainerSession Action = 22
	AttachContainerInput         Action = 23
	AttachContainerOutput        Action = 24
	ViewContainer                Action = 25
	SetLogLevel                  Action = 26
	RemoveNestedContainer        Action = 27
	RegisterAgent                Action = 28
	UpdateMaintenanceSchedule    Action = 29
	GetMaintenanceSchedule       Action = 30
	StartMaintenance             Action = 31
	StopMaintenance              Action = 32
	GetMaintenanceStatus         Action = 33
	MarkAgentGone                Action = 34
	LaunchStandaloneContainer    Action = 35
	KillStandaloneContainer      Action = 36
	WaitStandaloneContainer      Action = 37
	RemoveStandaloneContainer    Action = 38
	ModifyResourceProviderConfig Action = 39
	ViewStandaloneContainer      Action = 40
	PruneImages                  Action = 41
	ResizeVolume                 Action = 42
	CreateBlockDisk              Action = 43
	DestroyBlockDisk             Action = 44
	CreateMountDisk              Action = 45
	DestroyMountDisk             Action = 46
	ViewResourceProvider         Action = 47
	MarkResourceProviderGone     Action = 48
	DestroyRawDisk               Action = 49
	UpdateQuotaWithConfig        Action = 50
	DrainAgent                   Action = 51
	DeactivateAgent              Action = 52
	ReactivateAgent              Action = 53
)

// objects says what an action's lists may name as objects.
type objects int

const (
	plain    objects = iota // names that must be equal
	roles                   // the same, and "a/%" for every role below a
	implicit                // ANY or NONE: the action knows no single objects
	paths                   // of endpoints, from authorizablePaths
)

// kind describes an action: its name, and the lists of an ACL document that govern it. Where there are two, both must
// allow: a container's user, and the user of the container it is nested in.
type kind struct {
	name    string
	lists   []string // keys of the document
	field   string   // of an entry that names the objects
	objects objects
}

// kinds is the one table of actions.
var kinds = map[Action]kind{
	RegisterFramework:   {"REGISTER_FRAMEWORK", []string{"register_frameworks"}, "roles", roles},
	RunTask:             {"RUN_TASK", []string{"run_tasks"}, "users", plain},
	TeardownFramework:   {"TEARDOWN_FRAMEWORK", []string{"teardown_frameworks"}, "framework_principals", plain},
	ReserveResources:    {"RESERVE_RESOURCES", []string{"reserve_resources"}, "roles", roles},
	UnreserveResources:  {"UNRESERVE_RESOURCES", []string{"unreserve_resources"}, "reserver_principals", plain},
	CreateVolume:        {"CREATE_VOLUME", []string{"create_volumes"}, "roles", roles},
	DestroyVolume:       {"DESTROY_VOLUME", []string{"destroy_volumes"}, "creator_principals", plain},
	ResizeVolume:        {"RESIZE_VOLUME", []string{"resize_volumes"}, "roles", roles},
	CreateBlockDisk:     {"CREATE_BLOCK_DISK", []string{"create_block_disks"}, "roles", roles},
	DestroyBlockDisk:    {"DESTROY_BLOCK_DISK", []string{"destroy_block_disks"}, "roles", roles},
	CreateMountDisk:     {"CREATE_MOUNT_DISK", []string{"create_mount_disks"}, "roles", roles},
	DestroyMountDisk:    {"DESTROY_MOUNT_DISK", []string{"destroy_mount_disks"}, "roles", roles},
	DestroyRawDisk:      {"DESTROY_RAW_DISK", []string{"destroy_raw_disks"}, "roles", roles},
	GetEndpointWithPath: {"GET_ENDPOINT_WITH_PATH", []string{"get_endpoints"}, "paths", paths},

	ViewRole:              {"VIEW_ROLE", []string{"view_roles"}, "roles", roles},
	UpdateWeight:          {"UPDATE_WEIGHT", []string{"update_weights"}, "roles", roles},
	GetQuota:              {"GET_QUOTA", []string{"get_quotas"}, "roles", roles},
	UpdateQuota:           {"UPDATE_QUOTA", []string{"update_quotas"}, "roles", roles},
	UpdateQuotaWithConfig: {"UPDATE_QUOTA_WITH_CONFIG", []string{"update_quotas"}, "roles", roles},
	ViewFramework:         {"VIEW_FRAMEWORK", []string{"view_frameworks"}, "users", plain},
	ViewTask:              {"VIEW_TASK", []string{"view_tasks"}, "users", plain},
	ViewExecutor:          {"VIEW_EXECUTOR", []string{"view_executors"}, "users", plain},
	AccessSandbox:         {"ACCESS_SANDBOX", []string{"access_sandboxes"}, "users", plain},
	AccessMesosLog:        {"ACCESS_MESOS_LOG", []string{"access_mesos_logs"}, "logs", implicit},
	ViewFlags:             {"VIEW_FLAGS", []string{"view_flags"}, "flags", implicit},
	SetLogLevel:           {"SET_LOG_LEVEL", []string{"set_log_level"}, "level", implicit},

	RegisterAgent:             {"REGISTER_AGENT", []string{"register_agents"}, "agents", implicit},
	UpdateMaintenanceSchedule: {"UPDATE_MAINTENANCE_SCHEDULE", []string{"update_maintenance_schedules"}, "machines", implicit},
	GetMaintenanceSchedule:    {"GET_MAINTENANCE_SCHEDULE", []string{"get_maintenance_schedules"}, "machines", implicit},
	StartMaintenance:          {"START_MAINTENANCE", []string{"start_maintenances"}, "machines", implicit},
	StopMaintenance:           {"STOP_MAINTENANCE", []string{"stop_maintenances"}, "machines", implicit},
	GetMaintenanceStatus:      {"GET_MAINTENANCE_STATUS", []string{"get_maintenance_statuses"}, "machines", implicit},
	MarkAgentGone:             {"MARK_AGENT_GONE", []string{"mark_agents_gone"}, "agents", implicit},
	DrainAgent:                {"DRAIN_AGENT", []string{"drain_agents"}, "agents", implicit},
	DeactivateAgent:           {"DEACTIVATE_AGENT", []string{"deactivate_agents"}, "agents", implicit},
	ReactivateAgent:           {"REACTIVATE_AGENT", []string{"reactivate_agents"}, "agents", implicit},

	LaunchNestedContainer: {"LAUNCH_NESTED_CONTAINER",
		[]string{"launch_nested_containers_under_parent_with_user", "launch_nested_containers_as_user"}, "users", plain},
	LaunchNestedContainerSession: {"LAUNCH_NESTED_CONTAINER_SESSION",
		[]string{"launch_nested_container_sessions_under_parent_with_user", "launch_nested_container_sessions_as_user"}, "users", plain},
	KillNestedContainer:       {"KILL_NESTED_CONTAINER", []string{"kill_nested_containers"}, "users", plain},
	WaitNestedContainer:       {"WAIT_NESTED_CONTAINER", []string{"wait_nested_containers"}, "users", plain},
	RemoveNestedContainer:     {"REMOVE_NESTED_CONTAINER", []string{"remove_nested_containers"}, "users", plain},
	AttachContainerInput:      {"ATTACH_CONTAINER_INPUT", []string{"attach_containers_input"}, "users", plain},
	AttachContainerOutput:     {"ATTACH_CONTAINER_OUTPUT", []string{"attach_containers_output"}, "users", plain},
	ViewContainer:             {"VIEW_CONTAINER", []string{"view_containers"}, "users", plain},
	LaunchStandaloneContainer: {"LAUNCH_STANDALONE_CONTAINER", []string{"launch_standalone_containers"}, "users", implicit},
	KillStandaloneContainer:   {"KILL_STANDALONE_CONTAINER", []string{"kill_standalone_containers"}, "users", implicit},
	WaitStandaloneContainer:   {"WAIT_STANDALONE_CONTAINER", []string{"wait_standalone_containers"}, "users", implicit},
	RemoveStandaloneContainer: {"REMOVE_STANDALONE_CONTAINER", []string{"remove_standalone_containers"}, "users", implicit},
	ViewStandaloneContainer:   {"VIEW_STANDALONE_CONTAINER", []string{"view_standalone_containers"}, "users", implicit},

	ModifyResourceProviderConfig: {"MODIFY_RESOURCE_PROVIDER_CONFIG", []string{"modify_resource_provider_configs"}, "resource_providers", implicit},
	ViewResourceProvider:         {"VIEW_RESOURCE_PROVIDER", []string{"view_resource_providers"}, "resource_providers", implicit},
	MarkResourceProviderGone:     {"MARK_RESOURCE_PROVIDER_GONE", []string{"mark_resource_providers_gone"}, "resource_providers", implicit},
	PruneImages:                  {"PRUNE_IMAGES", []string{"prune_images"}, "images", implicit},
}

// String is Mesos's name of the action.
func (a Action) String() string {
	if k, ok := kinds[a]; ok {
		return k.name
	}
	return "UNKNOWN"
}

// authorizablePaths are the endpoints that get_endpoints can name.
var authorizablePaths = map[string]bool{
	"/containers": true, "/containerizer/debug": true, "/files/debug": true,
	"/logging/toggle": true, "/metrics/snapshot": true, "/monitor/statistics": true,
}
