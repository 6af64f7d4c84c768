package tinymirror

import (
	"fmt"
	"strings"
)

// MCollective returns the files of a miniature of MCollective 1.2.1 or 2.12.5. They do nothing; their settings,
// plugins and libraries have the form of the real files.
func MCollective(version string) map[string]string {
	if version == "1.2.1" {
		return mcollective1()
	}
	return mcollective2()
}

func mcollective1() map[string]string {
	truth := func(name string) string {
		return fmt.Sprintf("                when \"%s\"\n                    val =~ /^1|y/i ? @%s = true : @%s = false\n", name, name, name)
	}
	return map[string]string{
		"mcollectived.rb":            "#!/usr/bin/env ruby\nrequire 'mcollective'\n",
		"lib/mcollective.rb":         "require 'rubygems'\nrequire 'stomp'\nrequire 'mcollective/patches'\nmodule MCollective\n    autoload :Config, \"mcollective/config\"\nend\n",
		"lib/mcollective/patches.rb": "# patches\n",
		"lib/mcollective/config.rb": `module MCollective
    class Config
        def loadconfig(file)
            File.open(file).each do |line|
                if (line =~ /(.+?)\s*=\s*(.+)/)
                    key = $1
                    val = $2

            case key
                when "topicprefix"
                    @topicprefix = val
` + texts("collectives", "main_collective", "libdir", "logfile", "loglevel", "identity", "logger_type",
			"securityprovider", "factsource", "connector", "registration", "rpcauditprovider", "rpcauthprovider") +
			truth("daemonize") + truth("color") + truth("rpcaudit") + truth("rpcauthorization") + `                when "registerinterval"
                    @registerinterval = val.to_i
                when /^plugin.(.+)$/
                    @pluginconf[$1] = val
                else
                    raise("Unknown config parameter #{key}")
            end
                end
            end
        end

        def set_config_defaults(file)
            @connector = "Stomp"
            @securityprovider = "Psk"
            @factsource = "Yaml"
            @registration = "Agentlist"
            @logger_type = "file"
            @registerinterval = 0
        end
    end
end
`,
		"plugins/mcollective/connector/stomp.rb": `require 'stomp'

module MCollective
    module Connector
        # plugin.stomp.commented = get_option("stomp.commented")
        class Stomp<Base
            def connect
                @base64 = get_bool_option("stomp.base64", false)
                @priority = get_option("stomp.priority", 0).to_i
                unless @config.pluginconf.include?("stomp.pool.size")
                    host = get_env_or_option("STOMP_SERVER", "stomp.host")
                    port = get_env_or_option("STOMP_PORT", "stomp.port", 6163).to_i
                    user = get_env_or_option("STOMP_USER", "stomp.user")
                    password = get_env_or_option("STOMP_PASSWORD", "stomp.password")
                else
                    1.upto(@config.pluginconf["stomp.pool.size"].to_i) do |n|
                        host[:host] = get_option("stomp.pool.host#{n}")
                        host[:port] = get_option("stomp.pool.port#{n}", 6163).to_i
                        host[:login] = get_env_or_option("STOMP_USER", "stomp.pool.user#{n}")
                        host[:passcode] = get_env_or_option("STOMP_PASSWORD", "stomp.pool.password#{n}")
                        host[:ssl] = get_bool_option("stomp.pool.ssl#{n}", false)
                    end
                end
            end

            def get_bool_option(opt, default)
                return default unless @config.pluginconf.include?(opt)
                val = @config.pluginconf[opt]
                if val =~ /^1|yes|true/
                    return true
                elsif val =~ /^0|no|false/
                    return false
                else
                    return default
                end
            end
        end
    end
end
`,
		"plugins/mcollective/security/psk.rb":           psk,
		"plugins/mcollective/security/sshkey.rb":        "require 'ssh/key/signer'\n",
		"plugins/mcollective/facts/yaml_facts.rb":       yamlFacts,
		"plugins/mcollective/registration/agentlist.rb": "# agents\n",
		"plugins/mcollective/audit/logfile.rb":          "logfile = Config.instance.pluginconf[\"rpcaudit.logfile\"] || \"/var/log/audit.log\"\n",
		"lib/mcollective/logger/file_logger.rb":         "# file\n",
		"lib/mcollective/logger/console_logger.rb":      "# console\n",
		"plugins/mcollective/agent/rpcutil.rb":          "# a\n",
	}
}

const (
	psk       = "raise(\"No plugin.psk configuration option specified\") unless @config.pluginconf.include?(\"psk\")\npsk = @config.pluginconf[\"psk\"]\n"
	yamlFacts = "    require 'yaml'\n    files = config.pluginconf[\"yaml\"].split(\":\")\n"
)

// texts are keys with plain text values.
func texts(keys ...string) string {
	var b strings.Builder
	for _, key := range keys {
		fmt.Fprintf(&b, "                when \"%s\"\n                    @%s = val\n", key, key)
	}
	return b.String()
}

func mcollective2() map[string]string {
	pooled := func(name string) string {
		return strings.ReplaceAll(`require 'stomp'

module MCollective
  module Connector
    class X<Base
      def connect
        @base64 = get_bool_option("X.base64", "false")
        pools = Integer(get_option("X.pool.size"))
        1.upto(pools) do |n|
          host[:host] = get_option("X.pool.#{n}.host")
          host[:port] = get_option("X.pool.#{n}.port", 61613).to_i
          host[:ssl] = get_bool_option("X.pool.#{n}.ssl", "false")
          host[:login] = get_env_or_option("STOMP_USER", "X.pool.#{n}.user", middleware_user)
          host[:passcode] = get_env_or_option("STOMP_PASSWORD", "X.pool.#{n}.password", middleware_password)
        end
        headers[:host] = get_option("X.vhost", "/")
      end

      def get_bool_option(val, default)
        Util.str_to_bool(@config.pluginconf.fetch(val, default))
      end
    end
  end
end
`, "X", name)
	}
	truth := func(name string) string {
		return fmt.Sprintf("                when \"%s\"\n                  @%s = Util.str_to_bool(val)\n", name, name)
	}
	return map[string]string{
		"bin/mcollectived":   "#!/usr/bin/env ruby\nrequire 'mcollective'\nif windows?\n  require 'win32/service'\nend\n",
		"lib/mcollective.rb": "require 'rubygems'\nrequire 'json'\nrequire 'stomp'\nmodule MCollective\n  require \"mcollective/config\"\nend\n",
		"lib/mcollective/config.rb": `module MCollective
  class Config
    def loadconfig(file)
      File.readlines(file).each do |line|
        if (line =~ /(.+?)\s*=\s*(.+)/)
              key = $1.strip
              val = $2
              begin
                case key
` + texts("collectives", "main_collective", "libdir", "logfile", "loglevel", "identity", "logger_type",
			"securityprovider", "factsource", "connector", "registration", "rpcauditprovider", "rpcauthprovider") +
			truth("daemonize") + truth("direct_addressing") + truth("rpcaudit") + truth("rpcauthorization") + `                when "registerinterval"
                  @registerinterval = Integer(val)
                when "ttl"
                  @ttl = Integer(val)
                when "default_batch_sleep_time"
                  @default_batch_sleep_time = Float(val)
                when /^plugin.(.+)$/
                  @pluginconf[$1] = val
                when "topicprefix", "topicsep"
                  Log.warn("Use of deprecated '#{key}' option.  This option is ignored")
                else
                  raise("Unknown config parameter '#{key}'")
                end
              rescue ArgumentError => e
                raise "Could not parse"
              end
        end
      end
      raise 'Identities can only match /\w\.\-/' unless @identity.match(/^[\w\.\-]+$/)
    end

    def set_config_defaults(file)
      @connector = "activemq"
      @securityprovider = "Psk"
      @factsource = "Yaml"
      @registration = "Agentlist"
      @registration_collective = nil
      @logger_type = "file"
    end
  end
end
`,
		"lib/mcollective/util.rb": `module MCollective
  module Util
    def self.str_to_bool(val)
      clean_val = val.to_s.strip
      if clean_val =~ /^(1|yes|true|y|t)$/i
        return  true
      elsif clean_val =~ /^(0|no|false|n|f)$/i
        return false
      else
        raise("Cannot convert string value '#{clean_val}' into a boolean.")
      end
    end
  end
end
`,
		"lib/mcollective/connector/rabbitmq.rb":     pooled("rabbitmq"),
		"lib/mcollective/connector/activemq.rb":     pooled("activemq"),
		"lib/mcollective/security/psk.rb":           psk,
		"lib/mcollective/facts/yaml_facts.rb":       yamlFacts,
		"lib/mcollective/registration/agentlist.rb": "# agents\n",
		"lib/mcollective/audit/logfile.rb":          "# audit\n",
		"lib/mcollective/logger/file_logger.rb":     "# file\n",
		"lib/mcollective/logger/console_logger.rb":  "# console\n",
		"lib/mcollective/rpc/agent.rb":              "should = Util.str_to_bool(config.pluginconf.fetch(\"#{agent_name}.activate_agent\", \"true\"))\n",
	}
}
