package keepalived

import "strings"

// The tables say what becomes of keepalived's keywords. They are complete for 2.2.7 and the VRRP side of 2.4: a
// keyword that is in none of them is told as unknown.

// globalRule is what becomes of a keyword of global_defs.
type globalRule struct {
	fate Fate
	text string
	read func(r *router, s statement) // nil: there is nothing to read
}

func (g globalRule) apply(r *router, s statement) {
	if g.read != nil {
		g.read(r, s)
	}
	if g.text != "" {
		r.note(s, g.fate, g.text)
	}
}

const (
	noLVS      = "IPVS is not solevip's: go on balancing with keepalived's checkers alone (keepalived -C)"
	noMail     = "mail is not in this version: nobody is written to when a group moves; watch solevip status or its log"
	noSched    = "scheduling is left to the service manager (CPUSchedulingPolicy= and the like in the unit)"
	noSNMP     = "SNMP and D-Bus have no counterpart: ask solevip status -o json"
	noFIFO     = "there is no FIFO of events in this version: follow solevip watch -o json"
	noDump     = "there are no dump files: ask solevip status -o json"
	noReload   = "the file is checked with solevip check and read when the daemon starts"
	noTables   = "solevip makes its own nftables table, which needs no settings"
	noProcess  = "there is one process, without such settings"
	noBuffers  = "buffers need no settings"
	noScript   = "programs run as root and are refused when others may write them or a directory above them"
	sameGuard  = "solevip always does this"
	noNamespce = "start the daemon in its namespace instead (NetworkNamespacePath= in the unit)"
	noPacing   = "announcements are paced by solevip itself"
)

var globalRules = func() map[string]globalRule {
	t := map[string]globalRule{
		"router_id":         {Mapped, "cluster.nodes.NODE: the node's name", func(r *router, s statement) { r.name, r.named = s.word(0), s.at }},
		"vrrp_version":      {Mapped, "groups.GROUP.instances[].version", (*router).version},
		"default_interface": {Mapped, "groups.GROUP.instances[].interface", func(r *router, s statement) { r.defaults.iface = interfaceName(s.word(0)) }},
		"v3_checksum_as_v2": {Mapped, "groups.GROUP.instances[].checksum", func(r *router, s statement) { r.defaults.checksum = truth(s.word(0)) }},

		"vrrp_garp_master_repeat":  {read: func(r *router, s statement) { r.garp(s, &r.defaults.announce, "") }},
		"vrrp_garp_master_delay":   {read: func(r *router, s statement) { r.garp(s, &r.defaults.announce, "") }},
		"vrrp_garp_master_refresh": {read: func(r *router, s statement) { r.garp(s, &r.defaults.announce, "") }},

		"vrrp_check_unicast_src":    {Mapped, sameGuard, nil},
		"vrrp_mcast_group4":         {Dropped, "adverts go to 224.0.0.18: routers that use another group won't hear this one, and both would be active", nil},
		"vrrp_mcast_group6":         {Dropped, "IPv6 is not in this version", nil},
		"vrrp_strict":               {Changed, "solevip is strict where the standard is, and answers pings to its addresses, which vrrp_strict forbids", nil},
		"vrrp_down_timer_adverts":   {Dropped, "an active router counts as down after three adverts that didn't come", nil},
		"vrrp_startup_delay":        {Dropped, "there is no start-up delay in this version: order the unit after what it needs (After= in systemd)", nil},
		"vrrp_delay_after_boot":     {Dropped, "there is no start-up delay in this version: order the unit after what it needs (After= in systemd)", nil},
		"dynamic_interfaces":        {Dropped, "interfaces must be there when the daemon starts", nil},
		"script_user":               {Changed, noScript, nil},
		"enable_script_security":    {Mapped, sameGuard, nil},
		"log_unknown_vrids":         {Dropped, "adverts of unknown virtual routers are not logged", nil},
		"startup_script":            {Dropped, "nothing is run before the daemon: write it as ExecStartPre= in the unit", nil},
		"startup_script_timeout":    {Dropped, "see startup_script", nil},
		"shutdown_script":           {Dropped, "nothing is run after the daemon: write it as ExecStopPost= in the unit", nil},
		"shutdown_script_timeout":   {Dropped, "see shutdown_script", nil},
		"vrrp_min_garp":             {Dropped, "write announce: {repeat: 1, delay: 0s} where one announcement must do", nil},
		"vrrp_owner_ignore_adverts": {Dropped, "an address owner (255) becomes a router of priority 254 here, which listens", nil},
		"use_symlink_paths":         {Dropped, noScript, nil},
		"vmac_prefix":               {Dropped, noVMAC, nil},
		"vmac_addr_prefix":          {Dropped, noVMAC, nil},
	}
	for text, words := range map[string]string{
		noLVS: `lvs_timeouts lvs_flush lvs_flush_on_stop lvs_flush_onstop lvs_sync_daemon rs_init_notifies no_checker_emails
			checker_log_all_failures smtp_alert_checker lvs_notify_fifo lvs_notify_fifo_script nftables_ipvs nftables_ipvs_priority
			nftables_ipvs_start_fwmark`,
		noMail: `notification_email notification_email_from smtp_server smtp_helo_name smtp_connect_timeout smtp_alert smtp_alert_vrrp
			no_email_faults`,
		noSched: `max_auto_priority min_auto_priority_delay vrrp_priority vrrp_no_swap vrrp_rt_priority vrrp_cpu_affinity
			vrrp_rlimit_rttime vrrp_rlimit_rtime checker_priority checker_no_swap checker_rt_priority checker_cpu_affinity
			checker_rlimit_rttime checker_rlimit_rtime bfd_priority bfd_no_swap bfd_rt_priority bfd_cpu_affinity bfd_rlimit_rttime
			bfd_rlimit_rtime`,
		noSNMP: `snmp_socket enable_traps enable_snmp_vrrp enable_snmp_keepalived enable_snmp_rfc enable_snmp_rfcv2
			enable_snmp_rfcv3 enable_snmp_checker snmp_vs_stats_update_interval snmp_rs_stats_update_interval enable_dbus
			dbus_service_name dbus_no_interface_name`,
		noFIFO: `notify_fifo notify_fifo_script vrrp_notify_fifo vrrp_notify_fifo_script vrrp_notify_priority_changes
			fifo_write_vrrp_states_on_reload`,
		noDump: `data_use_instance json_version state_dump_file stats_dump_file json_dump_file`,
		noReload: `reload_check_config reload_time_file reload_repeat reload_file include_check config_save_dir
			tmp_config_directory`,
		noTables: `vrrp_iptables vrrp_ipsets nftables nftables_priority nftables_ifindex nftables_counters`,
		noProcess: `linkbeat_use_polling use_pid_dir instance child_wait_time process_names process_name vrrp_process_name
			checker_process_name lvs_process_name bfd_process_name set_supplementary_groups umask random_seed iproute_usr_dir
			iproute_etc_dir disable_local_igmp`,
		noNamespce: `net_namespace net_namespace_ipvs namespace_with_ipsets`,
		noBuffers: `vrrp_netlink_cmd_rcv_bufs vrrp_netlink_cmd_rcv_bufs_force vrrp_netlink_monitor_rcv_bufs
			vrrp_netlink_monitor_rcv_bufs_force process_monitor_rcv_bufs process_monitor_rcv_bufs_force lvs_netlink_cmd_rcv_bufs
			lvs_netlink_cmd_rcv_bufs_force lvs_netlink_monitor_rcv_bufs lvs_netlink_monitor_rcv_bufs_force vrrp_rx_bufs_policy
			vrrp_rx_bufs_multiplier`,
		noPacing: `vrrp_garp_master_refresh_repeat vrrp_garp_lower_prio_delay vrrp_garp_lower_prio_repeat vrrp_garp_interval
			vrrp_gna_interval vrrp_garp_extra_if vrrp_vmac_garp_intvl`,
		"adverts are answered as RFC 9568 says": `vrrp_lower_prio_no_advert vrrp_higher_prio_send_advert vrrp_skip_check_adv_addr`,
	} {
		for _, w := range strings.Fields(words) {
			t[w] = globalRule{Dropped, text, nil}
		}
	}
	return t
}()

// topDropped are the blocks that nothing stands for.
var topDropped = map[string]string{
	"virtual_server":           noLVS,
	"virtual_server_group":     noLVS,
	"static_ipaddress":         "addresses that don't move belong to the system's network configuration",
	"static_routes":            "routes that don't move belong to the system's network configuration",
	"static_rules":             "rules that don't move belong to the system's network configuration",
	"track_group":              "it goes with the static addresses that it is for",
	"garp_group":               noPacing,
	"bfd_instance":             "BFD is not in this version: a silent router is noticed by its adverts",
	"interface_up_down_delays": "write interval, rise and fall at the checks of these interfaces: their product is the delay",
	"linkbeat_interfaces":      "an interface's carrier is asked of the kernel",
}
